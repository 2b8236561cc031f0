//! Whether the database is still the one that the memory is about.
//!
//! A server can come back with another database: restored, exchanged, or an empty volume; and a collection can be
//! dropped and made anew under a server that goes on. So MongoDB's own names of the collections are compared
//! before a refresh reads. Where that of the collection of messages differs, some messages are looked for that
//! were known when it was last compared.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use tracing::warn;

use crate::connect::mongo::failure;
use crate::engine::collector::{Failure, Reason, Refresh};
use crate::sources::librechat::database::store::{Store, documents};
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::edition::{Edition, Verified};
use crate::sources::librechat::memory::Memory;

/// A collection that every LibreChat has, beside that of messages.
const CONVERSATIONS: &str = "conversations";

/// How many messages are looked for at most.
const SAMPLES: usize = 2_000;

/// What is known before a refresh reads.
#[derive(Debug, Clone, Copy)]
pub struct Present {
    /// The time until which everything stored can be seen: the present here or on the server, whichever is
    /// earlier. `_id` is minted by the server's clock, and a watermark ahead of it would pass messages that
    /// are not stored yet.
    pub now: DateTime<Utc>,
    /// The edition of the database that answered.
    pub edition: Edition,
}

/// The present, after checking that the database is the one that is remembered.
///
/// # Errors
///
/// If the server does not answer, or if the collection of messages has gone.
pub async fn present(
    store: &Store,
    memory: &Memory,
    refresh: &Refresh,
) -> Result<Present, Failure> {
    // Those that are known before the server answers are of the database that it has, if it is known: what
    // is read after its answer may be of another already.
    let samples = memory.ledger_now().saved.samples(SAMPLES);
    let server = store.mongo().hello().await?;
    let mut verified = memory.verified().await;
    if !verified.is_recent(server.process, memory.verified_for()) {
        let edition = memory.edition();
        let known = verified.samples.take().unwrap_or_else(|| samples.clone());
        let found = verify(store, memory, &known, refresh).await;
        if memory.edition() != edition {
            // The processes that answered before had the other database.
            *verified = Verified { samples: Some(Vec::new()), ..Verified::default() };
        } else {
            let is_same = matches!(found, Ok(Found::Same));
            verified.samples = Some(if is_same { samples } else { known });
        }
        if found? != Found::Nothing {
            verified.processes.insert(server.process);
            verified.compared_at = Some(Instant::now());
        }
    }
    let now = store.now();
    Ok(Present { now: server.time.map_or(now, |time| time.min(now)), edition: memory.edition() })
}

/// The same after comparing the database also if its server process is known.
///
/// # Errors
///
/// As for [`present`].
pub async fn present_compared(
    store: &Store,
    memory: &Memory,
    refresh: &Refresh,
) -> Result<Present, Failure> {
    memory.verified().await.processes.clear();
    present(store, memory, refresh).await
}

/// What was found where the database should be that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Nothing to compare yet.
    Nothing,
    /// The same collection of messages.
    Same,
    /// Another one, restored or of another database.
    Other,
}

/// Compares the database with the memory, of which some messages are `samples`, and begins it anew if it is
/// another one.
///
/// # Errors
///
/// As for [`present`].
async fn verify(
    store: &Store,
    memory: &Memory,
    samples: &[ObjectId],
    refresh: &Refresh,
) -> Result<Found, Failure> {
    let stored = names(store, memory).await?;
    let (known, is_empty) = {
        let saved = &memory.ledger_now().saved;
        (saved.collection.clone(), saved.is_empty())
    };
    let Some(messages) = stored.get(Message::COLLECTION) else {
        let is_empty = is_empty && memory.counted().all().iter().all(|counted| counted.is_empty());
        return match (is_empty, stored.contains_key(CONVERSATIONS)) {
            (false, _) => Err(gone(store)),
            (true, true) => Ok(Found::Nothing),
            (true, false) => Err(not_librechat(store)),
        };
    };
    let mut found = Found::Other;
    if known.is_none() || *messages == known {
        found = Found::Same;
    } else if is_stored(store, samples, refresh).await? {
        warn!(
            "the collection `messages` was made anew, with messages that are known: it was probably \
             restored; an audit will look for messages that were not"
        );
        memory.want_audit();
    } else if !is_empty && store.first_id(Message::COLLECTION, refresh).await?.is_none() {
        return Err(emptied(store));
    } else {
        let database = store.mongo().database_name();
        let why = format!(
            "the collection `messages` of {database:?} was made anew and none of the messages known \
             is in it, so it is another database"
        );
        memory.begin_anew(why).await;
    }
    memory.ledger_now().name_collection(messages.clone());
    for counted in memory.counted().all() {
        let name = stored.get(counted.name());
        if name.is_some_and(|name| counted.name_collection(name)) {
            let collection = counted.name();
            warn!(
                collection,
                "the collection `{collection}` was made anew: what was counted of it stays counted, and an \
                 audit will look for documents that were not"
            );
            memory.want_audit();
        }
    }
    Ok(found)
}

/// What the server calls the collections that are read one document after the other, where it tells: another
/// name after one was made anew.
async fn names(
    store: &Store,
    memory: &Memory,
) -> Result<BTreeMap<String, Option<String>>, Failure> {
    let counted = memory.counted().all();
    let wanted: Vec<&str> =
        counted.iter().map(|counted| counted.name()).chain([Message::COLLECTION]).collect();
    store.mongo().collections(&wanted).await
}

/// Whether one of the messages is stored.
async fn is_stored(store: &Store, ids: &[ObjectId], refresh: &Refresh) -> Result<bool, Failure> {
    let id = doc! { "$in": ids };
    let mut cursor = store.find_by_id(Message::COLLECTION, id, doc! { "_id": 1 }, refresh).await?;
    let batch = cursor.try_next().await.map_err(failure)?;
    let count = batch.as_ref().map_or(0, |batch| documents(batch).count());
    refresh.count_documents(count);
    Ok(count > 0)
}

fn unusable(message: String) -> Failure {
    Failure { reason: Reason::Query, answered: true, message }
}

/// The database has none of the collections that every LibreChat has.
fn not_librechat(store: &Store) -> Failure {
    let database = store.mongo().database_name();
    unusable(format!(
        "the database {database:?} has none of LibreChat's collections yet; if LibreChat is in use, check \
         MONGODB_URI and MONGODB_DATABASE"
    ))
}

fn emptied(store: &Store) -> Failure {
    let database = store.mongo().database_name();
    unusable(format!(
        "the collection `messages` of {database:?} was made anew and has no message so far; if one is there \
         that is known, it is taken for restored, else for another database"
    ))
}

fn gone(store: &Store) -> Failure {
    let database = store.mongo().database_name();
    unusable(format!(
        "the database {database:?} has no collection `messages` any more, although messages were \
         read from it; if it is the right one and was emptied on purpose, stop the exporter and \
         remove its state file"
    ))
}
