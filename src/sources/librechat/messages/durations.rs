//! How long people wait for replies.

use std::ops::AddAssign;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::exposition::Distribution;

/// The bounds of the buckets, in seconds.
const BOUNDS: [f64; 11] = [0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0];

/// Waiting times by how long they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Durations {
    /// How many are longer than the bound before and not longer than this one.
    buckets: [u64; BOUNDS.len()],
    /// How many are longer than the last bound.
    longer: u64,
    /// All together, in milliseconds: sums of integers do not depend on the order of their terms.
    milliseconds: u64,
}

impl Durations {
    /// Adds a waiting time.
    pub fn add(&mut self, milliseconds: u64) {
        let seconds = milliseconds as f64 / 1000.0;
        let place = BOUNDS.iter().position(|bound| seconds <= *bound);
        match place.and_then(|place| self.buckets.get_mut(place)) {
            Some(bucket) => *bucket += 1,
            None => self.longer += 1,
        }
        self.milliseconds = self.milliseconds.saturating_add(milliseconds);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum::<u64>() + self.longer
    }

    /// By how much each number is more than that of `known`; nothing where it is less.
    pub fn beyond(&self, known: &Durations) -> Durations {
        let mut beyond = *self;
        for (count, known) in beyond.buckets.iter_mut().zip(known.buckets) {
            *count = count.saturating_sub(known);
        }
        beyond.longer = self.longer.saturating_sub(known.longer);
        beyond.milliseconds = self.milliseconds.saturating_sub(known.milliseconds);
        beyond
    }

    /// As a histogram has it.
    pub fn distribution(&self) -> Distribution {
        let mut below = 0;
        let buckets = BOUNDS.into_iter().zip(self.buckets).map(|(bound, count)| {
            below += count;
            (bound, below)
        });
        let buckets = buckets.collect();
        Distribution { buckets, count: self.count(), sum: self.milliseconds as f64 / 1000.0 }
    }
}

impl AddAssign for Durations {
    fn add_assign(&mut self, other: Durations) {
        for (count, other) in self.buckets.iter_mut().zip(other.buckets) {
            *count += other;
        }
        self.longer += other.longer;
        self.milliseconds = self.milliseconds.saturating_add(other.milliseconds);
    }
}

/// When a reply that can be timed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// `createdAt`: LibreChat inserts a reply when it ends.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub created_at: DateTime<Utc>,
    /// `updatedAt`, where the reply was written again later.
    #[serde(default, with = "chrono::serde::ts_milliseconds_option")]
    pub rewritten_at: Option<DateTime<Utc>>,
    /// Whether it was seen to be completed after it was inserted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
}

impl Ended {
    /// Whether the reply was completed after it was inserted: after a lost connection LibreChat inserts a
    /// part of it first. That this happened was seen, or is known by the reply having been written again
    /// at the moment when the token count of its question was corrected, which is done at its end.
    pub fn was_completed(&self, corrected_at: Option<DateTime<Utc>>) -> bool {
        let times = corrected_at.zip(self.rewritten_at);
        self.resumed
            || times
                .is_some_and(|(corrected, rewritten)| (corrected - rewritten).abs() <= CORRECTION)
    }

    /// How many milliseconds passed since its question; `None` where the times contradict each other.
    pub fn waited(
        &self,
        asked_at: DateTime<Utc>,
        corrected_at: Option<DateTime<Utc>>,
    ) -> Option<u64> {
        let before_reply = |time: &DateTime<Utc>| {
            self.was_completed(corrected_at)
                && self.rewritten_at.is_some_and(|rewritten| *time <= rewritten + CORRECTION)
        };
        let end = corrected_at.filter(before_reply).unwrap_or(self.created_at);
        u64::try_from((end.max(self.created_at) - asked_at).num_milliseconds()).ok()
    }
}

/// How far apart the end of a reply and the correction of its question can be.
const CORRECTION: TimeDelta = TimeDelta::seconds(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations: &[u64]) -> Durations {
        let mut sum = Durations::default();
        durations.iter().for_each(|duration| sum.add(*duration));
        sum
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time of a test")
    }

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let distribution = of(&[0, 500, 501, 2_500, 600_001]).distribution();
        assert_eq!(distribution.buckets[..3], [(0.5, 2), (1.0, 3), (2.5, 4)]);
        assert_eq!((distribution.count, distribution.sum), (5, 603.502));
    }

    #[test]
    fn what_is_beyond_and_what_is_known_add_up() {
        let (all, known) = (of(&[100, 600, 900_000]), of(&[100]));
        let mut sum = all.beyond(&known);
        sum += known;
        assert_eq!(sum, all);
    }

    #[test]
    fn a_reply_is_timed_by_its_own_end() {
        let ended = Ended { created_at: at(17), rewritten_at: None, resumed: false };
        assert_eq!(ended.waited(at(10), Some(at(500))), Some(7_000), "asked again later");
        assert_eq!(ended.waited(at(18), None), None, "a reply before its question");
    }

    #[test]
    fn a_reply_whose_first_part_was_saved_is_timed_by_the_correction_of_its_question() {
        let ended = Ended { created_at: at(17), rewritten_at: Some(at(80)), resumed: false };
        assert_eq!(ended.waited(at(10), Some(at(81))), Some(71_000));
        assert_eq!(ended.waited(at(10), Some(at(17))), Some(7_000), "rated or edited later");
        assert_eq!(ended.waited(at(10), Some(at(500))), Some(7_000), "corrected for another reply");
        assert_eq!(ended.waited(at(10), None), Some(7_000));
    }

    #[test]
    fn a_reply_that_was_seen_unfinished_may_be_rated_later() {
        let ended = Ended { created_at: at(17), rewritten_at: Some(at(900)), resumed: true };
        assert_eq!(ended.waited(at(10), Some(at(80))), Some(70_000));
        assert_eq!(ended.waited(at(10), Some(at(12))), Some(7_000), "corrected before");
    }
}
