//! The charts on the page for people.

use chrono::{DateTime, Utc};

use crate::exposition::chart::{Bar, Chart, Shape, Unit};
use crate::sources::librechat::appended::spending::Spending;
use crate::sources::librechat::appended::sums::Appended;
use crate::sources::librechat::documents::transaction::CREDITS_A_USD;
use crate::sources::librechat::messages::Ledger;
use crate::sources::librechat::messages::durations::Durations;
use crate::sources::librechat::messages::totals::{Tokens, Totals};

/// How many days are shown.
const DAYS: u16 = 30;

/// How many models are shown.
const MODELS: usize = 10;

/// Messages and users of each of the last days.
pub fn of_days(ledger: &Ledger, now: DateTime<Utc>) -> [Chart; 2] {
    let days = ledger.recent_days(now, DAYS);
    let columns = |title: &str, value: fn((u64, u64)) -> u64| Chart {
        title: title.to_owned(),
        of: "Day",
        unit: Unit::Count,
        shape: Shape::Columns,
        bars: days
            .iter()
            .map(|day| Bar {
                label: day.date.to_string(),
                value: value((day.messages, day.users)) as f64,
            })
            .collect(),
    };
    [
        columns("Messages a day", |(messages, _)| messages),
        columns("Users a day", |(_, users)| users),
    ]
}

/// The tokens of the replies of each model.
pub fn of_tokens(ledger: &Ledger, total: &Totals) -> Chart {
    let models = total.models.iter().map(|(model, totals)| Bar {
        label: ledger.saved.labels.name(*model).to_owned(),
        value: totals.output_tokens.as_f64(),
    });
    ranking("Tokens of replies by model", Unit::Count, models.collect())
}

/// How many replies took how long.
pub fn of_durations(total: &Totals) -> Chart {
    let mut all = Durations::default();
    total.durations.values().for_each(|durations| all += *durations);
    let distribution = all.distribution();
    let bounds = distribution.buckets.iter().map(|(bound, _)| format!("up to {bound} s"));
    let counts = distribution.buckets.iter().map(|(_, count)| *count);
    let labels = bounds.chain(["longer".to_owned()]);
    let mut below = 0;
    let bars = labels.zip(counts.chain([distribution.count])).map(|(label, count)| {
        let value = (count - below) as f64;
        below = count;
        Bar { label, value }
    });
    Chart {
        title: "Replies by how long they took".to_owned(),
        of: "Time",
        unit: Unit::Count,
        shape: Shape::Columns,
        bars: bars.collect(),
    }
}

/// What the tokens of each model cost.
pub fn of_cost(counted: &Appended<Spending>, total: &Spending) -> Chart {
    let mut models: std::collections::BTreeMap<&str, Tokens> = std::collections::BTreeMap::new();
    for ((model, _), spent) in &total.spent {
        *models.entry(counted.labels.name(*model)).or_default() += spent.credits;
    }
    let bars = models.into_iter().map(|(model, credits)| Bar {
        label: model.to_owned(),
        value: credits.as_f64() / CREDITS_A_USD,
    });
    ranking("Cost by model", Unit::Usd, bars.collect())
}

/// The largest of the bars, and one for all others.
fn ranking(title: &str, unit: Unit, mut bars: Vec<Bar>) -> Chart {
    bars.retain(|bar| bar.value > 0.0);
    bars.sort_by(|a, b| b.value.total_cmp(&a.value).then_with(|| a.label.cmp(&b.label)));
    if bars.len() > MODELS {
        let others = bars.split_off(MODELS);
        let label = format!("{} others", others.len());
        bars.push(Bar { label, value: others.iter().map(|bar| bar.value).sum() });
    }
    Chart { title: title.to_owned(), of: "Model", unit, shape: Shape::Ranking, bars }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_the_rest_is_added_up() {
        let bars =
            (0..13).map(|number| Bar { label: number.to_string(), value: f64::from(number) });
        let chart = ranking("Tested", Unit::Count, bars.collect());
        let shown: Vec<(&str, f64)> =
            chart.bars.iter().map(|bar| (bar.label.as_str(), bar.value)).collect();
        assert_eq!((shown.len(), shown[0], shown[10]), (11, ("12", 12.0), ("2 others", 3.0)));
    }

    #[test]
    fn every_reply_is_in_one_column() {
        let mut total = Totals::default();
        let durations = total.durations.entry(Default::default()).or_default();
        [100, 400, 3_000, 900_000].into_iter().for_each(|waited| durations.add(waited));
        let chart = of_durations(&total);
        let values: Vec<f64> = chart.bars.iter().map(|bar| bar.value).collect();
        assert_eq!(values, [2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(chart.bars[11].label, "longer");
    }
}
