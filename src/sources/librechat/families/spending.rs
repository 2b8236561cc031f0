//! The families that are made of transactions.

use std::collections::{BTreeMap, HashMap};

use crate::exposition::family_writer::{Column, FamilyWriter};
use crate::exposition::series::Labels;
use crate::sources::librechat::appended::spending::{Spending, Spent};
use crate::sources::librechat::appended::spending_of_users::{OfUser, SpendingOfUsers};
use crate::sources::librechat::appended::sums::Appended;
use crate::sources::librechat::catalogue as family;
use crate::sources::librechat::documents::transaction::{CREDITS_A_USD, CacheTokens, TokenType};
use crate::sources::librechat::families::charts;
use crate::sources::librechat::families::writer::malformed;
use crate::sources::librechat::messages::totals::Tokens;

/// Writes what was spent and given.
pub fn spending(counted: &Appended<Spending>, writer: &mut FamilyWriter) {
    let total = counted.total();
    let name = |label| counted.labels.name(label).to_owned();
    let spent = total.spent.iter().map(|((model, token_type), spent)| {
        (vec![name(*model), token_type.as_str().to_owned()], *spent)
    });
    let columns: [Column<Spent>; 2] = [
        (&family::TRANSACTION_TOKENS, |spent| Some(spent.tokens.as_f64())),
        (&family::TRANSACTION_COST, |spent| Some(spent.credits.as_f64() / CREDITS_A_USD)),
    ];
    writer.table(&columns, sorted(spent), |spent| spent.tokens.whole());
    writer.chart(&family::TRANSACTION_COST, charts::of_cost(counted, &total));

    let cache = total.cache.iter().flat_map(|(model, tokens)| {
        let CacheTokens { read, write, uncached } = *tokens;
        let kinds = [("read", read), ("write", write), ("uncached", uncached)];
        kinds.map(|(kind, tokens)| (vec![name(*model), kind.to_owned()], tokens))
    });
    let column: [Column<Tokens>; 1] =
        [(&family::PROMPT_CACHE_TOKENS, |tokens| Some(tokens.as_f64()))];
    writer.table(&column, sorted(cache), |tokens| tokens.whole());

    let granted = total.granted.iter().map(|(context, credits)| (vec![name(*context)], *credits));
    let column: [Column<Tokens>; 1] =
        [(&family::CREDITS_GRANTED, |credits| Some(credits.as_f64() / CREDITS_A_USD))];
    writer.table(&column, sorted(granted), |credits| credits.whole());

    malformed(writer, "transactions", &total.malformed);
}

/// Writes what single people spent; `names` tells how they are called, by the ids of their accounts. Who
/// has no name is called by the id.
pub fn spending_of_users(
    counted: &Appended<SpendingOfUsers>,
    names: &HashMap<String, String>,
    writer: &mut FamilyWriter,
) {
    let mut users: BTreeMap<String, OfUser> = BTreeMap::new();
    let total = counted.total();
    malformed(writer, "transactions", &total.malformed);
    for (user, spent) in total.users {
        let id = counted.labels.name(user);
        let name = names.get(id).map_or(id, |name| name);
        *users.entry(name.to_owned()).or_default() += spent;
    }
    let tokens = users.iter().flat_map(|(user, spent)| {
        let kinds = [(TokenType::Prompt, spent.prompt), (TokenType::Completion, spent.completion)];
        kinds.map(|(kind, tokens)| (vec![user.clone(), kind.as_str().to_owned()], tokens))
    });
    let column: [Column<Tokens>; 1] = [(&family::USER_TOKENS, |tokens| Some(tokens.as_f64()))];
    writer.table(&column, tokens.collect(), |tokens| tokens.whole());
    let cost = users.iter().map(|(user, spent)| (vec![user.clone()], spent.credits));
    let column: [Column<Tokens>; 1] =
        [(&family::USER_COST, |credits| Some(credits.as_f64() / CREDITS_A_USD))];
    writer.table(&column, cost.collect(), |credits| credits.whole());
}

fn sorted<V>(rows: impl Iterator<Item = (Labels, V)>) -> Vec<(Labels, V)> {
    let mut rows: Vec<(Labels, V)> = rows.collect();
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    rows
}
