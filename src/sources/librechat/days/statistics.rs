//! Means and standard deviations over days.

use std::borrow::Cow;
use std::ops::AddAssign;

use chrono::{Datelike, NaiveDate};
use rustc_hash::FxHashMap;

use crate::exposition::labels::Label;
use crate::sources::librechat::days::day::Day;

/// How much happens on a day and how much that varies.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Different people a day.
    pub users_per_day: Spread,
    /// Messages by and to each person who was active; `None` if nobody was.
    pub messages_per_user: Option<Spread>,
    /// Replies of each model a day.
    pub replies: FxHashMap<Label, Daily>,
    /// Messages in each hour of the day.
    pub hours: [u64; 24],
    /// Messages on each day of the week, from Monday on.
    pub weekdays: [u64; 7],
}

/// A mean and a population standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The population standard deviation.
    pub deviation: f64,
}

/// A number for each day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Daily(Vec<u64>);

impl Statistics {
    /// The statistics over days, in their order; one without activity counts as 0.
    pub fn over<'a>(days: impl Iterator<Item = (NaiveDate, Cow<'a, Day>)>) -> Statistics {
        let days: Vec<(NaiveDate, Cow<'a, Day>)> = days.collect();
        let mut hours = [0; 24];
        let mut weekdays = [0; 7];
        let mut of_user: FxHashMap<u32, u64> = FxHashMap::default();
        let mut replies: FxHashMap<Label, Daily> = FxHashMap::default();
        for (place, (date, day)) in days.iter().enumerate() {
            for (user, doings) in &day.doings {
                *of_user.entry(*user).or_default() += u64::from(doings.messages);
            }
            for (sum, messages) in hours.iter_mut().zip(day.hours) {
                *sum += u64::from(messages);
            }
            let weekday = date.weekday().num_days_from_monday() as usize;
            if let Some(sum) = weekdays.get_mut(weekday) {
                *sum += day.hours.iter().copied().map(u64::from).sum::<u64>();
            }
            for (model, count) in &day.replies {
                let daily = replies.entry(*model).or_insert_with(|| Daily(vec![0; days.len()]));
                daily.0[place] += u64::from(*count);
            }
        }
        let people: Vec<u64> = days.iter().map(|(_, day)| day.people.len()).collect();
        let of_user: Vec<u64> = of_user.into_values().collect();
        Statistics {
            users_per_day: Spread::of(&people).unwrap_or_default(),
            messages_per_user: Spread::of(&of_user),
            replies,
            hours,
            weekdays,
        }
    }
}

impl Spread {
    /// The spread of some numbers; `None` of none.
    pub fn of(numbers: &[u64]) -> Option<Spread> {
        if numbers.is_empty() {
            return None;
        }
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<u64>() as f64 / count;
        let squares = numbers.iter().map(|number| (*number as f64 - mean).powi(2)).sum::<f64>();
        Some(Spread { mean, deviation: (squares / count).sqrt() })
    }
}

impl Daily {
    /// The sum over the days.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The spread over the days.
    pub fn spread(&self) -> Spread {
        Spread::of(&self.0).unwrap_or_default()
    }
}

impl AddAssign for Daily {
    fn add_assign(&mut self, other: Daily) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        for (sum, number) in self.0.iter_mut().zip(other.0) {
            *sum += number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_the_whole_population() {
        let spread = Spread::of(&[2, 4, 4, 4, 5, 5, 7, 9]).expect("numbers");
        assert_eq!(spread, Spread { mean: 5.0, deviation: 2.0 });
        assert_eq!(Spread::of(&[]), None);
    }
}
