//! The collector that compares what is stored with what was counted.
//!
//! Refreshes look only after the watermark. A server whose clock was wrong, or a restored backup, can put
//! documents before it. The audit counts the documents stored on each day of `_id`, and where there are
//! more than were counted, it counts those that are missing. The last days of collections to which LibreChat's
//! process adds documents are compared more often: its clock may be behind.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use tracing::{info, warn};

use crate::connect::mongo::failure;
use crate::engine::collector::{Answer, Collector, Failure, Next, Refresh, Schedule};
use crate::engine::source::Late;
use crate::exposition::Families;
use crate::exposition::own::AUDIT_LATE_DOCUMENTS;
use crate::sources::librechat::appended::collections::AnyCollection;
use crate::sources::librechat::database::identity::{Present, present, present_compared};
use crate::sources::librechat::database::store::{Store, documents};
use crate::sources::librechat::days::{Days, Reach};
use crate::sources::librechat::documents::message::{Message, projection};
use crate::sources::librechat::documents::object_id::{day_of, start_of};
use crate::sources::librechat::edition::Edition;
use crate::sources::librechat::groups::Groups;
use crate::sources::librechat::memory::{AuditRecord, Memory};
use crate::sources::librechat::messages::saved::{History, Saved};
use crate::sources::librechat::messages::totals::Totals;
use crate::sources::librechat::messages::{Ledger, Limits};

/// How long to wait for the first pass.
const CHECK: Duration = Duration::from_secs(60);

/// How long one refresh may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// How often the last days of collections are compared whose `_id` is by LibreChat's clock, which may be behind
/// MongoDB's.
const RECENT: Duration = Duration::from_secs(10 * 60);

/// How long it rests after a comparison, as a multiple of what that took.
const REST: u32 = 9;

/// Compares stored with counted documents, a few days at a time.
pub struct Audit {
    store: Store,
    memory: Memory,
    groups: Groups,
    timezone: Tz,
    limits: Limits,
    every: Duration,
    /// Whether all messages were read, those stored before the first start among them.
    history_read: bool,
    record: AuditRecord,
    /// The edition of the database that the audit that goes on is about.
    edition: Edition,
    /// When the last days were last listed.
    recent_at: Option<DateTime<Utc>>,
    /// Whether the audit that goes on is about more than the last days.
    is_whole: bool,
    /// What the audit that goes on has still to compare.
    left: VecDeque<Part>,
    /// What it has found.
    found: Vec<Late>,
}

/// A day of a collection.
#[derive(Debug, Clone, Copy)]
struct Part {
    collection: &'static str,
    day: u32,
    /// Where the comparison ends: the watermark.
    end: ObjectId,
}

/// The day of `_id`, in days since 1970, as a date.
fn date(day: u32) -> NaiveDate {
    let begins = DateTime::from_timestamp(i64::from(day) * 86_400, 0).unwrap_or_default();
    begins.date_naive()
}

impl Audit {
    /// An audit of `memory` at each interval of the settings; of messages too, if `history_read` says
    /// that those stored before the first start were read.
    pub fn new(
        store: Store,
        memory: Memory,
        settings: &crate::sources::librechat::Settings,
        timezone: Tz,
        history_read: bool,
    ) -> Audit {
        Audit {
            record: memory.audit_record(),
            edition: memory.edition(),
            store,
            memory,
            groups: settings.groups.clone(),
            timezone,
            limits: Limits { settling_time: settings.settling_time, tail: settings.tail_limit },
            every: settings.audit_interval,
            history_read,
            recent_at: None,
            is_whole: true,
            left: VecDeque::new(),
            found: Vec::new(),
        }
    }

    /// Compares everything now, without a rest.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses.
    pub async fn run(mut self, refresh: &Refresh) -> Result<Vec<Late>, Failure> {
        self.begin(refresh).await?;
        while let Some(part) = self.left.pop_front() {
            self.compare(part, refresh).await?;
        }
        self.end().await;
        Ok(self.found)
    }

    /// How long until something is to be compared.
    fn next_in(&self) -> Duration {
        self.due_in().min(self.recent_due_in())
    }

    /// How long until the last days are compared again.
    fn recent_due_in(&self) -> Duration {
        if !self.memory.ledger_now().is_complete() {
            return CHECK;
        }
        let due = self.recent_at.map(|recent_at| recent_at + RECENT - self.store.now());
        due.map_or(Duration::ZERO, |due| due.to_std().unwrap_or(Duration::ZERO))
    }

    /// Lists the last days of collections to which LibreChat's process adds documents.
    fn begin_recent(&mut self, edition: Edition) {
        self.recent_at = Some(self.store.now());
        self.is_whole = false;
        self.edition = edition;
        self.found.clear();
        let memory = self.memory.clone();
        for counted in memory.counted().all() {
            if let Some((first, end)) = counted.days() {
                let last = day_of(end);
                let days = first.max(last.saturating_sub(1))..=last;
                self.left.extend(days.map(|day| Part { collection: counted.name(), day, end }));
            }
        }
    }

    /// How long until the next audit; nothing if it is due.
    fn due_in(&self) -> Duration {
        if !self.memory.ledger_now().is_complete() {
            return CHECK;
        }
        let last = self.record.last.and_then(DateTime::from_timestamp_millis).unwrap_or_default();
        let due = if self.memory.is_audit_wanted() { last } else { last + self.every };
        (due - self.store.now()).to_std().unwrap_or(Duration::ZERO)
    }

    /// Lists all days to compare.
    async fn begin(&mut self, refresh: &Refresh) -> Result<(), Failure> {
        let present = present_compared(&self.store, &self.memory, refresh).await?;
        self.memory.begin_audit();
        self.edition = present.edition;
        self.is_whole = true;
        self.recent_at = Some(self.store.now());
        self.found.clear();
        self.left.clear();
        let messages = {
            let ledger = self.memory.ledger_at(self.edition)?;
            let first = ledger.saved.days.keys().next().copied();
            first.filter(|_| self.history_read).zip(ledger.saved.read_until())
        };
        if let Some((first, end)) = messages {
            self.list(Message::COLLECTION, first, end, refresh).await?;
        }
        let memory = self.memory.clone();
        for counted in memory.counted().all() {
            if let Some((first, end)) = counted.days() {
                self.list(counted.name(), first, end, refresh).await?;
            }
        }
        Ok(())
    }

    /// Lists the days of a collection from the first that is known or stored.
    async fn list(
        &mut self,
        collection: &'static str,
        known: u32,
        end: ObjectId,
        refresh: &Refresh,
    ) -> Result<(), Failure> {
        let stored = self.store.first_id(collection, refresh).await?;
        let first = stored.map_or(known, |id| known.min(day_of(id)));
        self.left.extend((first..=day_of(end)).map(|day| Part { collection, day, end }));
        Ok(())
    }

    async fn compare(&mut self, part: Part, refresh: &Refresh) -> Result<(), Failure> {
        let Part { collection, day, end } = part;
        let range = doc! { "$gte": start_of(day), "$lt": start_of(day + 1).min(end) };
        let memory = self.memory.clone();
        let counted = counted(&memory, collection);
        let known = match counted {
            Some(counted) => counted.known(day, self.edition)?,
            None => self.memory.ledger_at(self.edition)?.saved.known(day, end),
        };
        // A day of which some was counted before the watermark passed it is left to the next audit.
        let Some(known) = known else { return Ok(()) };
        if self.store.count_by_id(collection, range, refresh).await? <= known {
            return Ok(());
        }
        let documents = match counted {
            Some(counted) => self.late_documents(counted, part, refresh).await?,
            None => {
                let (totals, dates) = self.late_messages(part, refresh).await?;
                self.memory.ledger_at(self.edition)?.add_late(day, &totals, dates);
                totals.messages
            }
        };
        if documents == 0 {
            return Ok(());
        }
        self.note(Late { collection, date: date(day), documents });
        for wake in [&self.memory.wakes().days, &self.memory.wakes().messages] {
            wake.notify_one();
        }
        match counted {
            Some(counted) => self.memory.save_counted(counted).await,
            None => self.memory.save_ledger(None).await,
        }
        self.memory.save_audit(&self.record).await;
        Ok(())
    }

    /// Counts what the documents of a day add to what was counted of it.
    async fn late_documents(
        &self,
        counted: &dyn AnyCollection,
        part: Part,
        refresh: &Refresh,
    ) -> Result<u64, Failure> {
        let id = doc! { "$gte": start_of(part.day), "$lt": start_of(part.day + 1).min(part.end) };
        let mut cursor =
            self.store.find_by_id(part.collection, id, counted.projection(), refresh).await?;
        let mut stored = counted.day(self.edition);
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            refresh.count_documents(documents(&batch).count());
            stored.add(&batch)?;
        }
        stored.enter(part.day)
    }

    fn note(&mut self, late: Late) {
        warn!(
            collection = late.collection,
            day = %late.date,
            documents = late.documents,
            "documents were stored behind the watermark and are counted now; was a backup restored, or \
             a clock wrong?"
        );
        *self.record.late.entry(late.collection.to_owned()).or_default() += late.documents;
        self.found.push(late);
    }

    /// What the messages of a day add to what was counted of it, and on which local days they were created.
    ///
    /// The day is entered in a ledger of its own, with the day after it in which its questions may have
    /// been answered.
    async fn late_messages(
        &self,
        part: Part,
        refresh: &Refresh,
    ) -> Result<(Totals, BTreeSet<NaiveDate>), Failure> {
        let mut ledger = self.scratch(part);
        let mut dates = BTreeSet::new();
        let until = start_of(part.day + 2).min(part.end);
        let id = doc! { "$gte": start_of(part.day), "$lt": until };
        let projection = projection(&self.groups);
        let mut cursor =
            self.store.find_by_id(Message::COLLECTION, id, projection, refresh).await?;
        while let Some(batch) = cursor.try_next().await.map_err(failure)? {
            refresh.count_documents(documents(&batch).count());
            let messages = || documents(&batch).filter_map(Message::read);
            let of_day = messages().filter(|message| day_of(message.id) == part.day);
            let created = of_day.filter_map(|message| message.created_at);
            dates.extend(created.map(|time| time.with_timezone(&self.timezone).date_naive()));
            ledger.enter_history(messages(), DateTime::UNIX_EPOCH);
        }
        let stored = ledger.saved.totals_of(part.day, part.end);
        let mut known = self.memory.ledger_at(self.edition)?;
        let saved = &mut known.saved;
        let stored = stored
            .relabelled(|class, label| saved.labels.label(class, ledger.saved.labels.name(label)));
        Ok((stored.beyond(&saved.totals_of(part.day, part.end)), dates))
    }

    fn scratch(&self, part: Part) -> Ledger {
        let mut saved = Saved::new(true);
        let before = start_of(part.day);
        saved.watermark = Some(part.end);
        saved.history = Some(History { read_to: before, end: part.end, entered: 0 });
        Ledger::new(
            self.limits,
            saved,
            Days::new(chrono_tz::UTC, Reach { statistics: 0, people: 0 }),
        )
    }

    async fn end(&mut self) {
        self.record.last = Some(self.store.now().timestamp_millis());
        self.memory.save_audit(&self.record).await;
    }

    fn wait(&self, until_next: Duration) -> Answer {
        Answer { families: self.families(), next: Next::In(until_next) }
    }

    fn families(&self) -> Families {
        let mut families = Families::default();
        let others = self.memory.counted().all().map(|counted| counted.name());
        let collections: BTreeSet<&str> = others.into_iter().chain([Message::COLLECTION]).collect();
        let late = collections.into_iter().map(|collection| {
            ([collection], self.record.late.get(collection).copied().unwrap_or(0) as f64)
        });
        families.series(&AUDIT_LATE_DOCUMENTS, late);
        families
    }
}

/// What was counted of a collection other than messages, where days of it are known.
fn counted<'a>(memory: &'a Memory, collection: &str) -> Option<&'a dyn AnyCollection> {
    memory.counted().all().into_iter().find(|counted| counted.name() == collection)
}

#[async_trait]
impl Collector for Audit {
    fn name(&self) -> &str {
        "audit"
    }

    fn is_critical(&self) -> bool {
        false
    }

    fn schedule(&self) -> Schedule {
        let wake = Arc::clone(&self.memory.wakes().audit);
        Schedule { on_scrape: false, deadline: DEADLINE, wake, ..Schedule::every(self.every) }
    }

    async fn refresh(&mut self, refresh: &Refresh) -> Result<Answer, Failure> {
        let Present { edition, .. } = present(&self.store, &self.memory, refresh).await?;
        if self.edition != edition {
            // What is left to compare is of the database before.
            self.left.clear();
        }
        if self.left.is_empty() {
            if self.record.last.is_none() {
                self.record.last = Some(self.store.now().timestamp_millis());
                self.memory.save_audit(&self.record).await;
            }
            if self.due_in().is_zero() {
                self.begin(refresh).await?;
                info!(days = self.left.len(), "comparing what is stored with what was counted");
            } else if self.recent_due_in().is_zero() {
                self.begin_recent(edition);
            } else {
                return Ok(self.wait(self.next_in()));
            }
        }
        let asked = Instant::now();
        if let Some(part) = self.left.front().copied() {
            self.compare(part, refresh).await?;
            self.left.pop_front();
        }
        if self.left.is_empty() {
            if self.is_whole {
                self.end().await;
                info!(late = self.found.iter().map(|late| late.documents).sum::<u64>(), "compared");
            }
            return Ok(self.wait(self.next_in()));
        }
        // It rests between its refreshes and not in them, which would count for their deadline.
        let next = Next::ContinueAfter(asked.elapsed() * REST);
        Ok(Answer { families: self.families(), next })
    }
}
