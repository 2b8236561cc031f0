//! The connection to a MongoDB, and what its errors mean.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria, Tls};
use mongodb::{Client, Database};
use tokio::sync::OnceCell;
use tracing::warn;

use crate::connect::refused_certificate::{explain_in_log, is_of_tls};
use crate::connect::uri::Uri;
use crate::engine::collector::{Failure, Reason};

/// MongoDB's error codes that need another treatment than the rest.
mod code {
    pub const NAMESPACE_NOT_FOUND: i32 = 26;
    pub const UNAUTHORIZED: i32 = 13;
    pub const AUTHENTICATION_FAILED: i32 = 18;
    pub const MAX_TIME_MS_EXPIRED: i32 = 50;
    pub const COMMAND_NOT_FOUND: i32 = 59;
}

/// How long to look for a server before a refresh fails, where the URI does not say.
const SERVER_SELECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// One database on a MongoDB, connected to when it is first needed.
///
/// The process starts and serves its page whether or not the server can be reached, and looking up a
/// `mongodb+srv` name is tried again with every refresh until it works.
pub struct Mongo {
    uri: Uri,
    database_name: String,
    read_preference: Option<ReadPreference>,
    database: OnceCell<Database>,
}

impl Mongo {
    /// The database `database_name` on the server of `uri`; `read_preference` overrides the URI's. The log is
    /// told what of the URI is left out.
    pub fn new(uri: Uri, database_name: String, read_preference: Option<ReadPreference>) -> Mongo {
        for note in &uri.notes {
            warn!("the URI of database {database_name}: {note}");
        }
        Mongo { uri, database_name, read_preference, database: OnceCell::new() }
    }

    /// The name of the database.
    pub fn database_name(&self) -> &str {
        &self.database_name
    }

    /// The database.
    ///
    /// # Errors
    ///
    /// If the name of a `mongodb+srv` URI cannot be looked up. That the server answers is only known
    /// after a query.
    pub async fn database(&self) -> Result<&Database, Failure> {
        self.database.get_or_try_init(|| self.connect()).await.map_err(failure)
    }

    async fn connect(&self) -> Result<Database, Error> {
        let mut options = ClientOptions::parse(self.uri.connection.clone()).await?;
        options.app_name.get_or_insert_with(|| "usage-exporter".to_owned());
        options.server_selection_timeout.get_or_insert(SERVER_SELECTION_TIMEOUT);
        if let Some(read_preference) = &self.read_preference {
            options.selection_criteria =
                Some(SelectionCriteria::ReadPreference(read_preference.clone()));
        }
        if let Some(Tls::Enabled(tls)) = &options.tls {
            options.sdam_event_handler = Some(explain_in_log(tls.clone()));
        }
        Ok(Client::with_options(options)?.database(&self.database_name))
    }

    /// What the server that answers tells about itself.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses.
    pub async fn hello(&self) -> Result<Server, Failure> {
        let database = self.database().await?;
        let mut command = database.run_command(doc! { "hello": 1 });
        if let Some(criteria) = database.selection_criteria() {
            command = command.selection_criteria(criteria.clone());
        }
        match command.await {
            Ok(answer) => Ok(Server::read(&answer)),
            Err(error) if command_code(&error) == Some(code::COMMAND_NOT_FOUND) => {
                Ok(Server::default())
            }
            Err(error) => Err(failure(error)),
        }
    }

    /// Which of the `wanted` collections there are, and what the server calls each for good where it tells:
    /// another name after the collection was made anew.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses.
    pub async fn collections(
        &self,
        wanted: &[&str],
    ) -> Result<BTreeMap<String, Option<String>>, Failure> {
        let database = self.database().await?;
        let list = doc! { "listCollections": 1, "filter": { "name": { "$in": wanted } } };
        // The driver's own function asks primaries only, and there may be none for a while.
        let mut command = database.run_cursor_command(list);
        if let Some(criteria) = database.selection_criteria() {
            command = command.selection_criteria(criteria.clone());
        }
        let listed: Vec<Document> =
            command.await.map_err(failure)?.try_collect().await.map_err(failure)?;
        let names = listed.iter().filter_map(|collection| {
            let uuid = collection.get_document("info").ok().and_then(|info| info.get("uuid"));
            let uuid = uuid.and_then(|uuid| match uuid {
                Bson::Binary(uuid) => Some(uuid.bytes.iter().map(|byte| format!("{byte:02x}"))),
                _ => None,
            });
            let uuid = uuid.map(Iterator::collect);
            Some((collection.get_str("name").ok()?.to_owned(), uuid))
        });
        Ok(names.collect())
    }

    /// A collection of the database whose documents are read as they come over the wire.
    ///
    /// # Errors
    ///
    /// As for [`Mongo::database`].
    pub async fn collection(
        &self,
        name: &str,
    ) -> Result<mongodb::Collection<RawDocumentBuf>, Failure> {
        Ok(self.database().await?.collection(name))
    }
}

/// What a server tells about itself.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// The time of day there.
    pub time: Option<DateTime<Utc>>,
    /// Which process it is: another after every restart.
    pub process: Option<ObjectId>,
}

impl Server {
    fn read(answer: &Document) -> Server {
        let time = answer.get_datetime("localTime").ok();
        let version = answer.get_document("topologyVersion").ok();
        Server {
            time: time.and_then(|time| DateTime::from_timestamp_millis(time.timestamp_millis())),
            process: version.and_then(|version| version.get_object_id("processId").ok()),
        }
    }
}

/// How much is told of what the driver says of an error.
const MAX_CHARACTERS: usize = 500;

const LOGIN: &str = "check the user, password and authSource of the URI";

const TLS: &str =
    "TLS with the server fails; a line of its own says which certificate is refused and why";

const NO_TLS: &str = "TLS cannot be set up; check the files of the URI, and without tlsCAFile that this machine \
                      has authorities, which Debian has in the package ca-certificates";

/// What the driver says of a server that refused a login.
const REFUSED_LOGIN: &str = "AuthenticationFailed";

/// What an error of the driver means to a collector.
pub fn failure(error: Error) -> Failure {
    let (reason, answered, advice) = match error.kind.as_ref() {
        ErrorKind::Authentication { .. } => (Reason::Authorization, true, LOGIN),
        // After a login was refused the driver takes the server for unreachable for a while.
        ErrorKind::ServerSelection { message, .. } if message.contains(REFUSED_LOGIN) => {
            let message = format!("Authentication failed: {LOGIN}");
            return Failure { reason: Reason::Authorization, answered: true, message };
        }
        ErrorKind::Command(command) => match command.code {
            code::UNAUTHORIZED | code::AUTHENTICATION_FAILED => {
                (Reason::Authorization, true, "the user needs the role `read` on the database")
            }
            code::MAX_TIME_MS_EXPIRED => {
                (Reason::Timeout, true, "the database is slow; raise the interval or find out why")
            }
            _ => (Reason::Query, true, "the database refuses the query"),
        },
        _ if is_of_tls(&error) => (Reason::Connection, false, TLS),
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. } => {
            (Reason::Connection, false, "check the URI, the network and that MongoDB runs")
        }
        ErrorKind::Bson(_)
        | ErrorKind::IncompatibleServer { .. }
        | ErrorKind::InvalidResponse { .. }
        | ErrorKind::SessionsNotSupported => {
            (Reason::Query, true, "the answer of the database cannot be used")
        }
        // Whatever the driver refuses by itself has reached no server.
        ErrorKind::InvalidTlsConfig { .. } => (Reason::Connection, false, NO_TLS),
        _ => (Reason::Connection, false, "the driver asked no server; check the URI"),
    };
    // MongoDB may repeat a whole command in what it says of it.
    let said: String = error.kind.to_string().chars().take(MAX_CHARACTERS).collect();
    Failure { reason, answered, message: format!("{said}: {advice}") }
}

/// Whether an error says that a collection does not exist.
pub fn is_namespace_not_found(error: &Error) -> bool {
    command_code(error) == Some(code::NAMESPACE_NOT_FOUND)
}

fn command_code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// Whether a database can have that name. MongoDB would take a single quote too, which is rather what
/// `docker run --env-file` has kept.
pub fn is_database_name(name: &str) -> bool {
    const MOST_BYTES: usize = 63;
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "/\\.\"'$".contains(c);
    !name.is_empty() && name.len() <= MOST_BYTES && !name.contains(is_odd)
}

#[cfg(test)]
mod tests {
    use mongodb::options::TlsOptions;

    use super::*;

    async fn error_of(tls: Option<TlsOptions>, uri: &str) -> Error {
        let mut options = match ClientOptions::parse(uri).await {
            Ok(options) => options,
            Err(error) => return error,
        };
        options.tls = tls.map(Tls::Enabled);
        options.server_selection_timeout = Some(Duration::from_millis(100));
        let client = match Client::with_options(options) {
            Ok(client) => client,
            Err(error) => return error,
        };
        let ping = client.database("admin").run_command(doc! { "ping": 1 }).await;
        ping.expect_err("no server")
    }

    #[tokio::test]
    async fn what_the_driver_refuses_by_itself_was_answered_by_no_server() {
        let missing =
            TlsOptions::builder().ca_file_path(std::path::PathBuf::from("/not/there")).build();
        for (tls, uri) in [
            (None, "mongodb://127.0.0.1:1/?socketTimeoutMS=5"),
            (None, "mongodb://a:b@127.0.0.1:1/?authMechanism=GSSAPI"),
            (Some(missing), "mongodb://127.0.0.1:1/"),
            (None, "mongodb://127.0.0.1:1/"),
        ] {
            let failure = failure(error_of(tls, uri).await);
            assert_eq!((failure.reason, failure.answered), (Reason::Connection, false), "{uri}");
        }
    }
}
