//! What single people spent. Only read, kept and shown where the settings ask for it.

use std::ops::AddAssign;

use mongodb::bson::{Document, RawDocument, doc};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::engine::pairs;
use crate::exposition::labels::{Label, Labels};
use crate::sources::librechat::appended::spending::Spent;
use crate::sources::librechat::appended::sums::{Sums, add_each};
use crate::sources::librechat::documents::classes;
use crate::sources::librechat::documents::field::Field;
use crate::sources::librechat::documents::transaction::{TokenType, Transaction, USER};
use crate::sources::librechat::messages::totals::{Surplus, Tokens, all_beyond};

/// The sums over the transactions of each person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpendingOfUsers {
    transactions: u64,
    /// What each spent; the label is the id of the account.
    #[serde(with = "pairs")]
    pub users: FxHashMap<Label, OfUser>,
    /// How often `user` could not be used; the other fields are counted with all transactions.
    #[serde(with = "pairs")]
    pub malformed: FxHashMap<Field, u64>,
}

/// What one person spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OfUser {
    /// Tokens of prompts.
    pub prompt: Tokens,
    /// Tokens of completions.
    pub completion: Tokens,
    /// Credits, of which 1,000,000 are a USD.
    pub credits: Tokens,
}

/// What one transaction adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    user: Label,
    malformed: bool,
    token_type: Option<TokenType>,
    spent: Spent,
}

impl Sums for SpendingOfUsers {
    type Entry = Entry;

    /// The sums of every person on every day would outgrow the state file.
    const BY_DAY: bool = false;

    fn projection() -> Document {
        doc! { "user": 1, "tokenType": 1, "rawAmount": 1, "tokenValue": 1 }
    }

    fn read(document: &RawDocument, labels: &mut Labels) -> Entry {
        let transaction = Transaction::read(document);
        Entry {
            user: labels.label_or_unknown(classes::USER, transaction.user.as_deref()),
            malformed: transaction.malformed.contains(&USER),
            token_type: transaction.token_type,
            spent: Spent { tokens: transaction.amount.size, credits: transaction.value.size },
        }
    }

    fn add(&mut self, entry: &Entry) {
        self.transactions += 1;
        if entry.malformed {
            *self.malformed.entry(USER).or_default() += 1;
        }
        let Some(token_type) = entry.token_type else { return };
        if token_type == TokenType::Credits {
            return;
        }
        let user = self.users.entry(entry.user).or_default();
        user.credits += entry.spent.credits;
        if token_type == TokenType::Prompt {
            user.prompt += entry.spent.tokens;
        } else {
            user.completion += entry.spent.tokens;
        }
    }

    fn add_all(&mut self, others: &SpendingOfUsers) {
        self.transactions += others.transactions;
        add_each(&mut self.users, &others.users);
        add_each(&mut self.malformed, &others.malformed);
    }

    fn beyond(&self, known: &SpendingOfUsers) -> SpendingOfUsers {
        SpendingOfUsers {
            transactions: self.transactions.saturating_sub(known.transactions),
            users: all_beyond(&self.users, &known.users),
            malformed: all_beyond(&self.malformed, &known.malformed),
        }
    }

    fn documents(&self) -> u64 {
        self.transactions
    }
}

impl AddAssign for OfUser {
    fn add_assign(&mut self, other: OfUser) {
        self.prompt += other.prompt;
        self.completion += other.completion;
        self.credits += other.credits;
    }
}

impl Surplus for OfUser {
    fn beyond(&self, known: &OfUser) -> OfUser {
        OfUser {
            prompt: self.prompt.beyond(&known.prompt),
            completion: self.completion.beyond(&known.completion),
            credits: self.credits.beyond(&known.credits),
        }
    }
}
