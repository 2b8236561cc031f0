//! What was spent on which model, and what was given.

use std::ops::AddAssign;

use mongodb::bson::{Document, RawDocument, doc};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::engine::pairs;
use crate::exposition::labels::{Label, Labels};
use crate::sources::librechat::appended::sums::{Sums, add_each};
use crate::sources::librechat::documents::classes::{MODEL, OCCASION};
use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::documents::transaction::{CacheTokens, TokenType, Transaction};
use crate::sources::librechat::messages::totals::{Surplus, Tokens, all_beyond};

/// The sums over transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spending {
    transactions: u64,
    /// What was spent, by model and token type.
    #[serde(with = "pairs")]
    pub spent: FxHashMap<(Label, TokenType), Spent>,
    /// The tokens of prompts by what the cache did with them, by model.
    #[serde(with = "pairs")]
    pub cache: FxHashMap<Label, CacheTokens>,
    /// The credits given, by the occasion.
    #[serde(with = "pairs")]
    pub granted: FxHashMap<Label, Tokens>,
    /// How often each field could not be used.
    #[serde(with = "pairs")]
    pub malformed: FxHashMap<Field, u64>,
}

/// Tokens and their price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens.
    pub tokens: Tokens,
    /// Credits, of which 1,000,000 are a USD.
    pub credits: Tokens,
}

/// What one transaction adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    token_type: Option<TokenType>,
    /// The model, or the occasion of credits given.
    label: Label,
    spent: Spent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache: Option<CacheTokens>,
    #[serde(default, skip_serializing_if = "Malformed::is_empty")]
    malformed: Malformed,
}

impl Sums for Spending {
    type Entry = Entry;

    fn projection() -> Document {
        doc! {
            "tokenType": 1, "model": 1, "context": 1, "rawAmount": 1, "tokenValue": 1,
            "inputTokens": 1, "writeTokens": 1, "readTokens": 1,
        }
    }

    fn read(document: &RawDocument, labels: &mut Labels) -> Entry {
        let transaction = Transaction::read(document);
        let given = transaction.token_type == Some(TokenType::Credits);
        let (class, name) =
            if given { (OCCASION, transaction.context) } else { (MODEL, transaction.model) };
        // Credits that are taken back are no credits given, and a counter cannot fall.
        let counts = !given || transaction.amount.is_positive;
        let size = |size: Tokens| if counts { size } else { Tokens::default() };
        Entry {
            token_type: transaction.token_type,
            label: labels.label_or_unknown(class, name),
            spent: Spent {
                tokens: size(transaction.amount.size),
                credits: size(transaction.value.size),
            },
            cache: transaction.cache,
            malformed: transaction.malformed,
        }
    }

    fn add(&mut self, entry: &Entry) {
        self.transactions += 1;
        match entry.token_type {
            Some(TokenType::Credits) => {
                *self.granted.entry(entry.label).or_default() += entry.spent.tokens;
            }
            Some(token_type) => {
                *self.spent.entry((entry.label, token_type)).or_default() += entry.spent;
                if let Some(cache) = entry.cache.filter(|_| token_type == TokenType::Prompt) {
                    *self.cache.entry(entry.label).or_default() += cache;
                }
            }
            None => {}
        }
        for field in entry.malformed.fields() {
            *self.malformed.entry(field.clone()).or_default() += 1;
        }
    }

    fn add_all(&mut self, others: &Spending) {
        self.transactions += others.transactions;
        add_each(&mut self.spent, &others.spent);
        add_each(&mut self.cache, &others.cache);
        add_each(&mut self.granted, &others.granted);
        add_each(&mut self.malformed, &others.malformed);
    }

    fn beyond(&self, known: &Spending) -> Spending {
        Spending {
            transactions: self.transactions.saturating_sub(known.transactions),
            spent: all_beyond(&self.spent, &known.spent),
            cache: all_beyond(&self.cache, &known.cache),
            granted: all_beyond(&self.granted, &known.granted),
            malformed: all_beyond(&self.malformed, &known.malformed),
        }
    }

    fn documents(&self) -> u64 {
        self.transactions
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Spent) {
        self.tokens += other.tokens;
        self.credits += other.credits;
    }
}

impl Surplus for Spent {
    fn beyond(&self, known: &Spent) -> Spent {
        Spent {
            tokens: self.tokens.beyond(&known.tokens),
            credits: self.credits.beyond(&known.credits),
        }
    }
}

impl AddAssign for CacheTokens {
    fn add_assign(&mut self, other: CacheTokens) {
        self.read += other.read;
        self.write += other.write;
        self.uncached += other.uncached;
    }
}

impl Surplus for CacheTokens {
    fn beyond(&self, known: &CacheTokens) -> CacheTokens {
        CacheTokens {
            read: self.read.beyond(&known.read),
            write: self.write.beyond(&known.write),
            uncached: self.uncached.beyond(&known.uncached),
        }
    }
}
