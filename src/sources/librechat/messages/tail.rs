//! Reading the tail: the messages after the watermark and the open ones before it.

use std::ops::RangeBounds;

use chrono::{DateTime, TimeDelta, Utc};
use mongodb::bson::oid::ObjectId;

use crate::sources::librechat::documents::id_hash::IdHash;
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::documents::object_id::{after, at};
use crate::sources::librechat::messages::entry::Entry;
use crate::sources::librechat::messages::saved::Saved;
use crate::sources::librechat::messages::settling::is_within_a_day;
use crate::sources::librechat::messages::{FIRST, LAST, Ledger, windows};

/// For how long after its second a message with an `_id` of that second may still come: those of one second are
/// in no order, and one is inserted a moment after its `_id` is minted. The watermark stays so far behind the
/// present, however many messages come.
const LATE: TimeDelta = TimeDelta::seconds(10);

/// What to read of the tail.
#[derive(Debug)]
pub struct Tail {
    /// Everything from here on.
    pub from: ObjectId,
    /// And the messages before that may still change.
    pub open: Vec<ObjectId>,
}

impl Ledger {
    /// Begins a read of the tail.
    pub fn begin_read(&mut self, now: DateTime<Utc>) -> Tail {
        let from = self.watermark(now);
        let mut open = Vec::new();
        for (id, entry) in &mut self.saved.entries {
            if !entry.sealed && (*id >= from || entry.followed) {
                entry.awaited = true;
            }
            if *id < from && entry.followed {
                open.push(*id);
            }
        }
        Tail { from, open }
    }

    /// Enters a part of what was read, in the order of `_id`. If more lies after the watermark than is
    /// kept, the oldest are sealed at once. Of those that the watermark cannot pass yet, because they are of the
    /// last moment or of the future, the `_id` is kept, so that they are known again.
    pub fn enter_read<'a>(
        &mut self,
        messages: impl IntoIterator<Item = Message<'a>>,
        now: DateTime<Utc>,
    ) {
        let Some(watermark) = self.saved.watermark else { return };
        let mut read_to = watermark;
        for message in messages {
            read_to = message.id;
            let known = self.saved.entries.contains_key(&message.id);
            if (message.id < watermark && !known) || self.saved.ahead.contains(&message.id) {
                // It was open when it was asked for and has been sealed since, or was sealed early.
                continue;
            }
            let user = message.user.map(|user| self.people.number(user));
            let mut entry = Entry::new(&message, user, &mut self.saved.labels);
            entry.conversation = message.conversation_id.map(IdHash::of);
            self.enter(message, entry);
        }
        if self.saved.entries.len() <= self.limits.tail {
            return;
        }
        let young = || self.saved.entries.range(watermark..).filter(|(_, entry)| !entry.sealed);
        let surplus = young().count().saturating_sub(self.limits.tail);
        let next = young().nth(surplus).map(|(id, _)| *id);
        if let Some(next) = next.filter(|_| surplus > 0 && read_to >= watermark) {
            self.miss(watermark..=read_to);
            self.link_answers();
            let watermark = next.min(at(now - LATE)).min(read_to).max(watermark);
            self.advance_to(watermark, now);
            if next > watermark {
                self.seal_ahead(watermark, next, now);
            }
        }
    }

    /// Notes which messages in a range the read should have found and did not.
    fn miss(&mut self, range: impl RangeBounds<ObjectId>) {
        for (_, entry) in self.saved.entries.range_mut(range).filter(|(_, entry)| entry.awaited) {
            entry.present = false;
            entry.awaited = false;
        }
    }

    /// Seals what lies between the watermark and `end` and keeps the `_id` of it.
    fn seal_ahead(&mut self, watermark: ObjectId, end: ObjectId, now: DateTime<Utc>) {
        self.seal_until(watermark, end, now);
        let range = self.saved.entries.range(watermark..end);
        let sealed = range.filter(|(_, entry)| entry.sealed).map(|(id, _)| *id);
        self.saved.ahead.extend(sealed.collect::<Vec<_>>());
        self.forget_sealed(now);
    }

    /// Ends a read that saw everything stored until `now`: moves the watermark and seals what has
    /// settled. While the first pass runs, nothing moves.
    pub fn end_read(&mut self, now: DateTime<Utc>) {
        self.miss(..);
        self.link_answers();
        let Some(watermark) = self.saved.watermark else { return };
        if self.is_complete() {
            let settled = at(now - self.limits.settling_time);
            // Where there are so many that some were sealed early, the others are not read again either.
            let ahead = self.saved.ahead.range(..at(now - LATE)).next_back().copied();
            self.advance_to(watermark.max(settled).max(ahead.map_or(FIRST, after)), now);
            self.days.forget_before(now);
        }
    }

    /// Moves the watermark and seals what it passes, unless that is open.
    pub(super) fn advance_to(&mut self, next: ObjectId, now: DateTime<Utc>) {
        let Some(watermark) = self.saved.watermark else { return };
        self.saved.watermark = Some(next);
        self.seal_until(watermark, next, now);
        self.saved.ahead = self.saved.ahead.split_off(&next);
        self.forget_sealed(now);
        let history_end = self.saved.history.map(|history| history.end);
        // A question at the end of the history may be read long after its reply was.
        let awaited = history_end.filter(|_| self.saved.first_replies.len() <= self.limits.tail);
        self.saved.first_replies.retain(|_, first| {
            first.id >= next || awaited.is_some_and(|end| is_within_a_day(end, first.id))
        });
    }

    /// Seals what lies before `end` and is not open, of which the watermark has not passed what lies after
    /// `from`.
    fn seal_until(&mut self, from: ObjectId, end: ObjectId, now: DateTime<Utc>) {
        let Saved { entries, ratings, .. } = &mut self.saved;
        for (id, entry) in entries.range(from..end) {
            if let Some(rated) = entry.feedback().filter(|_| entry.present && !entry.sealed) {
                ratings.settled(*id, rated);
            }
        }
        // Until the first pass has ended, it settles the entries of the history itself.
        let history_end = self.saved.history.map(|history| history.end);
        let first = history_end.unwrap_or(FIRST).min(end);
        self.note_open(first..LAST, end, now);
        self.seal_rested(first..end, now);
    }

    /// Forgets sealed messages that no window shows, and more of them than the tail may hold.
    fn forget_sealed(&mut self, now: DateTime<Utc>) {
        let outside = at(now - self.behind());
        self.saved.entries.retain(|id, entry| {
            let shown = entry.present && *id >= outside && windows::shows(now, entry);
            !entry.sealed || shown
        });
        let sealed = self.saved.entries.iter().filter(|(_, entry)| entry.sealed);
        let surplus = sealed.clone().count().saturating_sub(self.limits.tail);
        if let Some(last) = sealed.take(surplus).last().map(|(id, _)| *id) {
            self.saved.entries.retain(|id, entry| !entry.sealed || *id > last);
            self.windows_from = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use mongodb::bson::{DateTime as BsonTime, RawDocumentBuf, doc};

    use super::*;
    use crate::sources::librechat::days::{Days, Reach};
    use crate::sources::librechat::documents::object_id::day_of;
    use crate::sources::librechat::messages::Limits;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_770_000_000, 0).expect("a time");

    const LIMITS: Limits =
        Limits { settling_time: std::time::Duration::from_secs(900), tail: 1_000 };

    fn ledger(saved: Saved) -> Ledger {
        Ledger::new(LIMITS, saved, Days::new(Tz::UTC, Reach { statistics: 30, people: 60 }))
    }

    fn message(time: DateTime<Utc>, number: u16, by_user: bool) -> RawDocumentBuf {
        let second = u32::try_from(time.timestamp()).expect("a time of a test");
        let [high, low] = number.to_be_bytes();
        let document = doc! {
            "_id": ObjectId::from_parts(second, [1; 5], [0, high, low]),
            "messageId": format!("m{time}-{number}"), "user": format!("u{number}"),
            "isCreatedByUser": by_user, "tokenCount": 1,
            "createdAt": BsonTime::from_millis(time.timestamp_millis()),
        };
        RawDocumentBuf::try_from(&document).expect("a document of a test")
    }

    /// A question that is not answered.
    fn question(time: DateTime<Utc>, number: u16) -> RawDocumentBuf {
        message(time, number, true)
    }

    /// A whole reply.
    fn reply(time: DateTime<Utc>, number: u16) -> RawDocumentBuf {
        message(time, number, false)
    }

    fn read(ledger: &mut Ledger, stored: &mut [RawDocumentBuf], now: DateTime<Utc>) -> u64 {
        stored.sort_by_key(|document| document.get_object_id("_id").expect("an _id"));
        let from = ledger.begin_read(now).from;
        let messages = stored.iter().filter_map(|document| Message::read(document));
        let messages: Vec<Message<'_>> = messages.filter(|message| message.id >= from).collect();
        for batch in messages.chunks(200) {
            ledger.enter_read(batch.iter().cloned(), now);
        }
        ledger.end_read(now);
        ledger.total().messages
    }

    fn restarted(ledger: &Ledger) -> Ledger {
        let json = serde_json::to_string(&ledger.saved).expect("JSON");
        self::ledger(serde_json::from_str(&json).expect("what was saved"))
    }

    #[test]
    fn messages_of_the_future_are_counted_and_those_of_the_present_after_them_too() {
        let mut ledger = ledger(Saved::new(false));
        let tomorrow = NOW + TimeDelta::days(1);
        let mut stored: Vec<_> = (0..2_500).map(|number| reply(tomorrow, number)).collect();
        assert_eq!(read(&mut ledger, &mut stored, NOW), 2_500);
        for minute in 1..=3_u16 {
            let now = NOW + TimeDelta::minutes(minute.into());
            let new =
                (0..10).map(|number| reply(now - TimeDelta::seconds(5), 100 * minute + number));
            stored.extend(new);
            let count = 2_500 + 10 * u64::from(minute);
            assert_eq!(read(&mut ledger, &mut stored, now), count);
            assert!(ledger.saved.watermark.expect("a watermark") < at(now));
            assert!(ledger.saved.entries.len() <= 2_100, "{}", ledger.saved.entries.len());
            ledger = restarted(&ledger);
            assert_eq!(read(&mut ledger, &mut stored, now), count, "restarted");
        }
        // Their time comes, and goes.
        for days in [1, 2] {
            let now = NOW + TimeDelta::days(days);
            stored.push(reply(now - TimeDelta::seconds(1), 9_000));
            let count = 2_530 + u64::try_from(days).expect("a number");
            assert_eq!(read(&mut ledger, &mut stored, now), count);
        }
        assert!(ledger.saved.ahead.is_empty());
    }

    #[test]
    fn more_messages_of_one_second_than_are_kept_count_once_in_whatever_order_they_come() {
        let mut ledger = ledger(Saved::new(false));
        let second = NOW - TimeDelta::seconds(1);
        let mut stored = Vec::new();
        for part in 0..4 {
            stored.extend((0..5_000).filter(|n| n % 4 == part).map(|n| reply(second, n)));
            let count = u64::try_from(stored.len()).expect("a number");
            assert_eq!(read(&mut ledger, &mut stored, NOW), count);
            ledger = restarted(&ledger);
        }
        let later = NOW + TimeDelta::minutes(1);
        assert_eq!(read(&mut ledger, &mut stored, later), 5_000);
        assert!(ledger.begin_read(later).from > at(second), "they are not read again and again");
        assert_eq!(ledger.saved.known(day_of(at(second)), LAST), Some(5_000));
    }

    #[test]
    fn a_message_that_is_gone_is_in_no_window_and_stays_counted() {
        let mut ledger = ledger(Saved::new(false));
        let mut stored = vec![reply(NOW, 1), reply(NOW, 2)];
        read(&mut ledger, &mut stored, NOW);
        stored.pop();
        assert_eq!(read(&mut ledger, &mut stored, NOW), 2);
        assert_eq!(ledger.windows(NOW).expect("nothing is missing").users.len(), 1);
    }

    #[test]
    fn who_asked_is_known_although_the_first_pass_seals_while_the_tail_is_read() {
        let begin = NOW - TimeDelta::seconds(6_000);
        let mut ledger = ledger(Saved::new(true));
        ledger.watermark(NOW);
        let history: Vec<RawDocumentBuf> = (0..20_000)
            .map(|number| question(begin + TimeDelta::seconds(i64::from(number) / 4), number))
            .collect();
        // More are open at once than are followed, so that the oldest are sealed as they are.
        for part in history.chunks(2_500) {
            let open = ledger.begin_read(NOW).open;
            ledger.enter_history(part.iter().filter_map(|m| Message::read(m)), NOW);
            let asked: std::collections::HashSet<ObjectId> = open.into_iter().collect();
            let messages = history.iter().filter_map(|message| Message::read(message));
            ledger.enter_read(messages.filter(|message| asked.contains(&message.id)), NOW);
            ledger.end_read(NOW);
        }
        ledger.complete_history(NOW, std::time::Duration::ZERO);
        assert!(ledger.saved.sealed.messages > 5_000, "{}", ledger.saved.sealed.messages);
        assert_eq!(ledger.total().messages, 20_000);
        assert_eq!(ledger.unique_users(NOW), [Some(20_000); 3]);
    }
}
