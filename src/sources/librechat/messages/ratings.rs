//! What people think of the messages now.
//!
//! People rate old messages, change their minds and take ratings back, so ratings are no sums that
//! only grow. The first pass sees all of them. After it, a sweep now and then asks for all feedback on
//! messages before the watermark of its start; what has passed the watermark since is kept one by one; younger
//! feedback is in the tail.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use chrono::{DateTime, Utc};
use mongodb::bson::oid::ObjectId;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::engine::pairs;
use crate::exposition::labels::{Label, Labels};
use crate::sources::librechat::documents::classes::{MODEL, TAG};
use crate::sources::librechat::documents::message::{Message, Rating};
use crate::sources::librechat::messages::five_minutes;
use crate::sources::librechat::messages::totals::{OTHERS, of_pair};

/// The feedback on one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rated {
    /// Thumbs up or down.
    pub rating: Option<Rating>,
    /// The reason given.
    pub tag: Option<Label>,
    /// The model of the message.
    pub model: Option<Label>,
    /// `updatedAt` of the message.
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    pub updated_at: Option<DateTime<Utc>>,
}

impl Rated {
    /// The feedback on `message`, if it has any.
    pub fn read(message: &Message<'_>, labels: &mut Labels) -> Option<Rated> {
        let feedback = message.feedback?;
        Some(Rated {
            rating: feedback.rating,
            tag: feedback.tag.map(|tag| labels.label(TAG, tag)),
            model: message.model.map(|model| labels.label(MODEL, model)),
            updated_at: message.updated_at,
        })
    }
}

/// A number of ratings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Thumbs {
    /// Thumbs up.
    pub up: u64,
    /// Thumbs down.
    pub down: u64,
}

impl Thumbs {
    /// All of them.
    pub fn all(self) -> u64 {
        self.up + self.down
    }

    /// The percentage of thumbs up; 0 without any.
    pub fn percent_up(self) -> f64 {
        if self.all() == 0 { 0.0 } else { self.up as f64 / self.all() as f64 * 100.0 }
    }

    fn add(&mut self, rating: Rating) {
        match rating {
            Rating::Up => self.up += 1,
            Rating::Down => self.down += 1,
        }
    }
}

impl AddAssign for Thumbs {
    fn add_assign(&mut self, other: Thumbs) {
        self.up += other.up;
        self.down += other.down;
    }
}

/// The sums over the feedback on some messages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RatingTotals {
    /// Messages with feedback.
    pub rated: u64,
    /// Their ratings.
    pub thumbs: Thumbs,
    /// Ratings by model.
    #[serde(with = "pairs")]
    pub models: FxHashMap<Label, Thumbs>,
    /// Messages with feedback by tag.
    #[serde(with = "pairs")]
    pub tags: FxHashMap<Label, u64>,
    /// Ratings by model and tag, of those that have both.
    #[serde(with = "pairs")]
    pub tags_of_models: FxHashMap<(Label, Label), Thumbs>,
    /// All ratings by model and tag.
    #[serde(default, with = "pairs")]
    pub all: FxHashMap<(Option<Label>, Option<Label>), Thumbs>,
}

impl RatingTotals {
    /// Adds the feedback on a message.
    pub fn add(&mut self, rated: &Rated) {
        self.rated += 1;
        if let Some(tag) = rated.tag {
            *self.tags.entry(tag).or_default() += 1;
        }
        let Some(rating) = rated.rating else { return };
        self.thumbs.add(rating);
        let (model, tag) = OTHERS;
        of_pair(&mut self.all, (rated.model, rated.tag), (Some(model), Some(tag))).add(rating);
        if let Some(model) = rated.model {
            self.models.entry(model).or_default().add(rating);
            if let Some(tag) = rated.tag {
                of_pair(&mut self.tags_of_models, (model, tag), OTHERS).add(rating);
            }
        }
    }
}

/// The answer of a sweep.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sweep {
    /// The watermark at its start: it speaks for the messages before.
    pub before: ObjectId,
    /// The sums over their feedback.
    pub totals: RatingTotals,
    /// When messages were updated whose rating may lie in a window.
    pub recent: Vec<(DateTime<Utc>, Rating)>,
    /// When it was made.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub made_at: DateTime<Utc>,
    /// From then on it is too old to be shown.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub stale_at: DateTime<Utc>,
}

impl Sweep {
    /// A sweep of the messages before `before` that begins `now`, empty and at once too old.
    pub fn new(before: ObjectId, now: DateTime<Utc>) -> Sweep {
        Sweep {
            before,
            totals: RatingTotals::default(),
            recent: Vec::new(),
            made_at: now,
            stale_at: now,
        }
    }

    /// Adds the feedback on a message.
    pub fn add(&mut self, rated: &Rated) {
        self.totals.add(rated);
        if let (Some(time), Some(rating)) = (rated.updated_at, rated.rating)
            && time >= self.made_at - five_minutes::WINDOW
        {
            self.recent.push((time, rating));
        }
    }
}

/// The feedback on the messages that have settled.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ratings {
    sweep: Option<Sweep>,
    /// What the first pass has seen so far, in the place of a first sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_pass: Option<Sweep>,
    #[serde(serialize_with = "as_pairs", deserialize_with = "of_pairs")]
    since: BTreeMap<ObjectId, Rated>,
}

fn as_pairs<S: Serializer>(
    since: &BTreeMap<ObjectId, Rated>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(since)
}

fn of_pairs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<ObjectId, Rated>, D::Error> {
    Ok(Vec::<(ObjectId, Rated)>::deserialize(deserializer)?.into_iter().collect())
}

impl Ratings {
    /// Begins with the first pass over the messages before `end`.
    pub fn begin(&mut self, end: ObjectId, now: DateTime<Utc>) {
        self.first_pass = Some(Sweep::new(end, now));
    }

    /// Adds the feedback on a message of the history, where the first pass began here.
    pub fn read(&mut self, rated: &Rated) {
        if let Some(sweep) = &mut self.first_pass {
            sweep.add(rated);
        }
    }

    /// Ends the first pass, whose answer becomes too old to be shown at `stale_at`.
    pub fn all_read(&mut self, stale_at: DateTime<Utc>) {
        if let Some(sweep) = self.first_pass.take() {
            self.swept(Sweep { stale_at, ..sweep });
        }
    }

    /// Notes the feedback on a message that the watermark passes.
    pub fn settled(&mut self, id: ObjectId, rated: Rated) {
        self.since.insert(id, rated);
    }

    /// When the last sweep was made.
    pub fn swept_at(&self) -> Option<DateTime<Utc>> {
        self.sweep.as_ref().map(|sweep| sweep.made_at)
    }

    /// Takes the answer of a sweep.
    pub fn swept(&mut self, sweep: Sweep) {
        self.since = self.since.split_off(&sweep.before);
        self.sweep = Some(sweep);
    }

    /// The tags that some of it has.
    pub fn tags(&self) -> impl Iterator<Item = Label> {
        let swept = self.sweep.iter().chain(&self.first_pass).flat_map(|sweep| {
            let pairs = sweep.totals.all.keys().filter_map(|(_, tag)| *tag);
            sweep.totals.tags.keys().copied().chain(pairs)
        });
        swept.chain(self.since.values().filter_map(|rated| rated.tag))
    }

    /// The sums over all feedback and the ratings in the five minutes of `now`; `young` is the feedback
    /// on messages after the watermark. `None` without a sweep that is fresh.
    pub fn now(
        &self,
        now: DateTime<Utc>,
        young: impl Iterator<Item = Rated>,
    ) -> Option<(RatingTotals, Thumbs)> {
        let sweep = self.sweep.as_ref().filter(|sweep| now < sweep.stale_at)?;
        let mut totals = sweep.totals.clone();
        let mut window = Thumbs::default();
        let in_window =
            |time: Option<DateTime<Utc>>| time.is_some_and(|t| five_minutes::contains(now, t));
        for (time, rating) in &sweep.recent {
            if in_window(Some(*time)) {
                window.add(*rating);
            }
        }
        for rated in self.since.values().copied().chain(young) {
            totals.add(&rated);
            if let Some(rating) = rated.rating.filter(|_| in_window(rated.updated_at)) {
                window.add(rating);
            }
        }
        Some((totals, window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_models_and_tags_take_bounded_room() {
        let mut labels = Labels::default();
        let mut totals = RatingTotals::default();
        let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        for (model, tag) in names.iter().flat_map(|model| names.iter().map(move |tag| (model, tag)))
        {
            totals.add(&Rated {
                rating: Some(Rating::Up),
                tag: Some(labels.label(TAG, tag)),
                model: Some(labels.label(MODEL, model)),
                updated_at: None,
            });
        }
        assert_eq!((totals.tags_of_models.len(), totals.all.len()), (10_001, 10_001));
        assert_eq!(totals.tags_of_models[&OTHERS].up, 30_000);
        let all: u64 = totals.all.values().map(|thumbs| thumbs.all()).sum();
        assert_eq!((totals.rated, all), (40_000, 40_000));
    }
}
