//! What users have left to spend.

use chrono::{DateTime, Utc};
use mongodb::bson::RawDocument;

use crate::exposition::family_writer::FamilyWriter;
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::documents::transaction::{CREDITS_A_USD, amount};
use crate::sources::librechat::groups::COST;
use crate::sources::librechat::messages::totals::Tokens;
use crate::sources::librechat::scans::{Listed, Scan, get};

crate::catalogue! {
    BALANCE_CREDITS: Gauge "librechat_balance_credits_usd" [] (COST) "Credits that all users have left, in USD.";
    USERS_WITHOUT_CREDIT: Gauge "librechat_users_without_credit" [] (COST) "Balances with nothing left.";
}

const TOKEN_CREDITS: Field = Field::at("tokenCredits");

/// This scan.
pub const SCAN: Listed =
    Listed::new("balances", "balances", ALL, |_, _| Box::<Balances>::default());

/// All balances together, and how many are used up.
#[derive(Debug, Default)]
pub struct Balances {
    count: u64,
    credits: Tokens,
    debts: Tokens,
    used_up: u64,
}

impl Scan for Balances {
    fn fields(&self) -> Vec<Field> {
        vec![TOKEN_CREDITS]
    }

    fn begin(&mut self, _: DateTime<Utc>) {
        *self = Balances::default();
    }

    fn add(&mut self, document: &RawDocument, malformed: &mut Malformed) {
        let field = &TOKEN_CREDITS;
        let credits = get(document, field, malformed);
        let credits = credits.and_then(|value| amount(value, field, malformed));
        if malformed.contains(field) {
            return;
        }
        self.count += 1;
        match credits {
            Some(credits) if credits.is_positive => self.credits += credits.size,
            // LibreChat takes a balance without credits for one of 0.
            credits => {
                self.debts += credits.unwrap_or_default().size;
                self.used_up += 1;
            }
        }
    }

    fn show(&mut self, writer: &mut FamilyWriter) {
        if self.count == 0 {
            // LibreChat keeps balances only where it is told to.
            return;
        }
        let sum = self.credits.as_f64() - self.debts.as_f64();
        writer.value(&BALANCE_CREDITS, sum / CREDITS_A_USD);
        writer.value(&USERS_WITHOUT_CREDIT, self.used_up as f64);
    }
}
