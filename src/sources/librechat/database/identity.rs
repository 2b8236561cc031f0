//! Whether the database is still the one that the memory is about.
//!
//! A server can come back with another database: restored, exchanged, or an empty volume. Whenever a
//! server process answers that has not answered before, MongoDB's own name of the collection of
//! messages is compared, and if that differs, some messages are looked for.

use chrono::{DateTime, Utc};
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use tracing::warn;

use crate::engine::collector::{Failure, Reason, Refresh};
use crate::sources::librechat::database::store::{Store, documents, read_all};
use crate::sources::librechat::documents::message::Message;
use crate::sources::librechat::edition::{Edition, Verified};
use crate::sources::librechat::memory::Memory;

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
    if verified.processes.contains(&server.process) {
        verified.samples = Some(samples);
    } else {
        let edition = memory.edition();
        let samples = verified.samples.take().unwrap_or(samples);
        let same = verify(store, memory, &samples, refresh).await;
        verified.samples = Some(samples);
        if memory.edition() != edition {
            // The processes that answered before had the other database.
            *verified = Verified { samples: Some(Vec::new()), ..Verified::default() };
        }
        if same? {
            verified.processes.insert(server.process);
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

/// Compares the database with the memory, of which some messages are `samples`, and begins it anew if it is
/// another one. False if there is nothing to compare yet.
///
/// # Errors
///
/// As for [`present`].
async fn verify(
    store: &Store,
    memory: &Memory,
    samples: &[ObjectId],
    refresh: &Refresh,
) -> Result<bool, Failure> {
    let stored = store.mongo().collection_identity(Message::COLLECTION).await?;
    let (known, is_empty) = {
        let saved = &memory.ledger_now().saved;
        (saved.collection.clone(), saved.is_empty())
    };
    let Some(stored) = stored else {
        return if is_empty { Ok(false) } else { Err(gone(store)) };
    };
    if known.is_none() || stored == known {
        memory.ledger_now().name_collection(stored);
        return Ok(true);
    }
    if is_stored(store, samples, refresh).await? {
        warn!(
            "the collection `messages` was made anew, with messages that are known: it was probably \
             restored; an audit will look for messages that were not"
        );
        memory.ledger_now().name_collection(stored);
        memory.want_audit();
    } else {
        let database = store.mongo().database_name();
        let why = format!(
            "the collection `messages` of {database:?} was made anew and none of the messages known \
             is in it, so it is another database"
        );
        memory.begin_anew(why).await;
        memory.ledger_now().name_collection(stored);
    }
    Ok(true)
}

/// Whether one of the messages is stored.
async fn is_stored(store: &Store, ids: &[ObjectId], refresh: &Refresh) -> Result<bool, Failure> {
    let id = doc! { "$in": ids };
    let cursor = store.find_by_id(Message::COLLECTION, id, doc! { "_id": 1 }, refresh).await?;
    let batches = read_all(cursor, refresh).await?;
    Ok(batches.iter().flat_map(documents).next().is_some())
}

fn gone(store: &Store) -> Failure {
    let database = store.mongo().database_name();
    Failure {
        reason: Reason::Query,
        answered: true,
        message: format!(
            "the database {database:?} has no collection `messages` any more, although messages were \
             read from it; if it is the right one and was emptied on purpose, stop the exporter and \
             remove its state file"
        ),
    }
}
