//! Reading a document of `transactions`: what LibreChat takes from and gives to a balance.
//!
//! LibreChat inserts a transaction for the prompt and one for the completion of each call of a model. Its
//! `rawAmount` (tokens) and `tokenValue` (credits, 1,000,000 to the USD) are negative for what is spent. A
//! prompt whose provider tells of its cache has `inputTokens`, `writeTokens` and `readTokens` too.

use mongodb::bson::{RawBsonRef, RawDocument};

use crate::sources::librechat::documents::field::{Field, Malformed};
use crate::sources::librechat::documents::value::text;
use crate::sources::librechat::messages::totals::Tokens;

/// How many credits are a USD.
pub const CREDITS_A_USD: f64 = 1_000_000.0;

/// `user`.
pub const USER: Field = Field::at("user");
const MODEL: Field = Field::at("model");
const TOKEN_TYPE: Field = Field::at("tokenType");
const CONTEXT: Field = Field::at("context");
const RAW_AMOUNT: Field = Field::at("rawAmount");
const TOKEN_VALUE: Field = Field::at("tokenValue");
const INPUT_TOKENS: Field = Field::at("inputTokens");
const WRITE_TOKENS: Field = Field::at("writeTokens");
const READ_TOKENS: Field = Field::at("readTokens");

static KEYS: [Field; 9] = [
    USER,
    MODEL,
    TOKEN_TYPE,
    CONTEXT,
    RAW_AMOUNT,
    TOKEN_VALUE,
    INPUT_TOKENS,
    WRITE_TOKENS,
    READ_TOKENS,
];

/// A transaction, as far as it is counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction<'a> {
    /// `user`, as its id is written.
    pub user: Option<String>,
    /// `model`.
    pub model: Option<&'a str>,
    /// `tokenType`.
    pub token_type: Option<TokenType>,
    /// `context`: the occasion.
    pub context: Option<&'a str>,
    /// What was spent of `rawAmount`, or given.
    pub amount: Amount,
    /// What was spent of `tokenValue`, or given.
    pub value: Amount,
    /// `inputTokens`, `writeTokens` and `readTokens`, where one of them is there.
    pub cache: Option<CacheTokens>,
    /// The fields that could not be used.
    pub malformed: Malformed,
}

/// The kinds of transactions.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum TokenType {
    /// `prompt`
    Prompt,
    /// `completion`
    Completion,
    /// `credits`
    Credits,
}

impl TokenType {
    /// The word that LibreChat stores.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenType::Prompt => "prompt",
            TokenType::Completion => "completion",
            TokenType::Credits => "credits",
        }
    }

    fn read(value: RawBsonRef<'_>, malformed: &mut Malformed) -> Option<TokenType> {
        let name = text(value, &TOKEN_TYPE, malformed)?;
        let kinds = [TokenType::Prompt, TokenType::Completion, TokenType::Credits];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == name);
        if kind.is_none() {
            malformed.note(&TOKEN_TYPE);
        }
        kind
    }
}

/// A number with its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Without the sign.
    pub size: Tokens,
    /// Whether it is more than nothing.
    pub is_positive: bool,
}

/// The tokens of a prompt by what the cache of the model's provider did with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct CacheTokens {
    /// Read from it.
    pub read: Tokens,
    /// Written to it.
    pub write: Tokens,
    /// Neither.
    pub uncached: Tokens,
}

impl<'a> Transaction<'a> {
    /// Reads a document.
    pub fn read(document: &'a RawDocument) -> Transaction<'a> {
        let mut transaction = Transaction::default();
        for element in document.iter_elements() {
            // Where the bytes of a document are broken, nothing after that point can be read.
            let Ok(element) = element else { break };
            let key = element.key().as_str();
            let Ok(value) = element.value() else {
                let field = KEYS.iter().find(|field| field.path() == key);
                field.into_iter().for_each(|field| transaction.malformed.note(field));
                continue;
            };
            transaction.read_field(key, value);
        }
        transaction.refuse_earnings();
        transaction
    }

    /// What is spent is negative. Some versions of LibreChat gave credits for a prompt whose model had a price
    /// below nothing; that is no cost, and how much it was is not known.
    fn refuse_earnings(&mut self) {
        if !matches!(self.token_type, Some(TokenType::Prompt | TokenType::Completion)) {
            return;
        }
        for (amount, field) in [(&mut self.amount, RAW_AMOUNT), (&mut self.value, TOKEN_VALUE)] {
            if amount.is_positive {
                *amount = Amount::default();
                self.malformed.note(&field);
            }
        }
    }

    fn read_field(&mut self, key: &str, value: RawBsonRef<'a>) {
        let malformed = &mut self.malformed;
        match key {
            "user" => self.user = user(value, malformed),
            "model" => self.model = text(value, &MODEL, malformed),
            "tokenType" => self.token_type = TokenType::read(value, malformed),
            "context" => self.context = text(value, &CONTEXT, malformed),
            "rawAmount" => {
                self.amount = amount(value, &RAW_AMOUNT, malformed).unwrap_or_default();
            }
            "tokenValue" => {
                self.value = amount(value, &TOKEN_VALUE, malformed).unwrap_or_default();
            }
            "inputTokens" => {
                if let Some(amount) = amount(value, &INPUT_TOKENS, malformed) {
                    self.cache.get_or_insert_default().uncached = amount.size;
                }
            }
            "writeTokens" => {
                if let Some(amount) = amount(value, &WRITE_TOKENS, malformed) {
                    self.cache.get_or_insert_default().write = amount.size;
                }
            }
            "readTokens" => {
                if let Some(amount) = amount(value, &READ_TOKENS, malformed) {
                    self.cache.get_or_insert_default().read = amount.size;
                }
            }
            _ => {}
        }
    }
}

/// The id of a user: an ObjectId, or a text in the place of one.
fn user(value: RawBsonRef<'_>, malformed: &mut Malformed) -> Option<String> {
    match value {
        RawBsonRef::ObjectId(id) => Some(id.to_hex()),
        other => text(other, &USER, malformed).map(str::to_owned),
    }
}

/// A finite number, positive or negative; what is missing or null is none.
pub fn amount(value: RawBsonRef<'_>, field: &Field, malformed: &mut Malformed) -> Option<Amount> {
    let (size, is_positive) = match value {
        RawBsonRef::Null | RawBsonRef::Undefined => return None,
        RawBsonRef::Int32(number) => {
            (Some(Tokens::from(u64::from(number.unsigned_abs()))), number > 0)
        }
        RawBsonRef::Int64(number) => (Some(Tokens::from(number.unsigned_abs())), number > 0),
        RawBsonRef::Double(number) => (Tokens::from_f64(number.abs()), number > 0.0),
        _ => (None, false),
    };
    let size = size.filter(|size| *size <= Tokens::MAX);
    if size.is_none() {
        malformed.note(field);
    }
    size.map(|size| Amount { size, is_positive })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;
    use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

    use super::*;

    fn read(document: &Document, check: impl Fn(&Transaction<'_>)) {
        let raw = RawDocumentBuf::try_from(document).expect("a document of a test");
        check(&Transaction::read(&raw));
    }

    #[test]
    fn a_structured_prompt_tells_of_the_cache() {
        let user = ObjectId::from_bytes([7; 12]);
        let document = doc! {
            "user": user, "tokenType": "prompt", "model": "claude", "context": "message",
            "inputTokens": -40, "writeTokens": -900i64, "readTokens": -2000.0, "rawAmount": -2940,
            "tokenValue": -17_640.5,
        };
        read(&document, |transaction| {
            let cache = CacheTokens { read: 2000.into(), write: 900.into(), uncached: 40.into() };
            assert_eq!(transaction.cache, Some(cache));
            assert_eq!(transaction.user, Some(user.to_hex()));
            assert_eq!(transaction.amount.size, Tokens::from(2940));
            assert!(!transaction.value.is_positive);
            assert_eq!(transaction.value.size.as_f64(), 17_640.5);
            assert!(transaction.malformed.is_empty());
        });
    }

    #[test]
    fn credits_that_a_prompt_earned_are_no_cost() {
        let earned = |raw_amount: i32, token_value: f64| {
            doc! {
                "tokenValue": token_value, "rawAmount": raw_amount, "tokenType": "prompt",
            }
        };
        read(&earned(-14, 14_000_000.0), |transaction| {
            let fields: Vec<_> = transaction.malformed.fields().collect();
            assert_eq!(fields, [&TOKEN_VALUE]);
            assert_eq!(transaction.amount.size, Tokens::from(14));
            assert_eq!(transaction.value, Amount::default());
        });
        read(&earned(14, 14.0), |transaction| {
            let fields: Vec<_> = transaction.malformed.fields().collect();
            assert_eq!(fields, [&RAW_AMOUNT, &TOKEN_VALUE]);
            assert_eq!(transaction.amount, Amount::default());
        });
        let mut given = earned(5, 5.0);
        given.insert("tokenType", "credits");
        read(&given, |transaction| assert!(transaction.malformed.is_empty()));
    }

    #[test]
    fn a_field_of_an_unexpected_type_costs_that_field_only() {
        for odd in [Bson::from("many"), f64::NAN.into(), f64::INFINITY.into(), i64::MIN.into()] {
            let document = doc! { "tokenType": "credits", "rawAmount": odd, "tokenValue": 5 };
            read(&document, |transaction| {
                let fields: Vec<_> = transaction.malformed.fields().collect();
                assert_eq!(fields, [&RAW_AMOUNT]);
                assert_eq!(transaction.token_type, Some(TokenType::Credits));
                assert!(transaction.value.is_positive);
            });
        }
        read(&doc! { "tokenType": "gift", "user": 3, "model": null }, |transaction| {
            let fields: Vec<_> = transaction.malformed.fields().collect();
            assert_eq!(fields, [&TOKEN_TYPE, &USER]);
            assert_eq!(transaction.model, None);
        });
    }
}
