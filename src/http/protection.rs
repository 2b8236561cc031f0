//! Everything that protects the metrics, kept up to date with the files that it is made of.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tracing::{info, warn};

use crate::engine::watched_files::{Files, Pem, Refused};
use crate::http::access::{Access, Peer};
use crate::http::settings::{Encryption, Settings};
use crate::http::tls::Tls;
use crate::http::web_config::WebConfig;
use crate::settings::Reader;

/// How often it is looked whether a file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Who may read, and how what is read is encrypted.
#[derive(Debug)]
pub struct Protection {
    /// Who may read.
    pub access: Access,
    /// How it is encrypted.
    pub tls: Option<Arc<ServerConfig>>,
    /// Headers of every answer.
    pub headers: HeaderMap,
}

/// Reads the settings of the HTTP server, and tries the files that they name; `None` if one is wrong.
pub fn read(reader: &mut Reader) -> Option<Settings> {
    let settings = Settings::read(reader)?;
    match Protection::load(&settings, &mut Files::default()) {
        Ok(_) => Some(settings),
        Err(refused) => {
            Settings::refuse_file(reader, &refused);
            None
        }
    }
}

impl Protection {
    /// The protection that `settings` describe, from the files that they name.
    ///
    /// # Errors
    ///
    /// The file that cannot be used, and why.
    pub fn load(settings: &Settings, files: &mut Files) -> Result<Protection, Refused> {
        let access = Access {
            networks: settings.networks.clone(),
            bearer: settings.bearer,
            basic: settings.basic,
            certificate: false,
            users: None,
        };
        match &settings.encryption {
            Encryption::None => Ok(Protection { access, tls: None, headers: HeaderMap::new() }),
            Encryption::Files { certificate, key, client_authorities } => {
                let tls = Tls {
                    certificate: Pem::File(certificate.clone()),
                    key: Pem::File(key.clone()),
                    client_authorities: client_authorities.clone().map(Pem::File),
                    versions: vec![&TLS13, &TLS12],
                };
                let access = Access { certificate: client_authorities.is_some(), ..access };
                Ok(Protection { access, tls: Some(tls.load(files)?), headers: HeaderMap::new() })
            }
            Encryption::WebConfig(path) => {
                let web = WebConfig::load(path, files)?;
                let tls = web.tls.map(|tls| tls.load(files)).transpose()?;
                let access = Access { certificate: web.certificate, users: web.users, ..access };
                Ok(Protection { access, tls, headers: web.headers })
            }
        }
    }
}

impl Protection {
    /// Whether this may take the place of `before` while connections are open. A file that is being
    /// written may be empty for a moment, and must not open the door.
    fn may_follow(&self, before: &Protection) -> bool {
        self.tls.is_some() == before.tls.is_some() && self.access.asks_all_that(&before.access)
    }
}

/// The protection as its files are now.
#[derive(Debug)]
pub struct Guard {
    settings: Settings,
    current: ArcSwap<Protection>,
}

impl Guard {
    /// The protection that `settings` describe, and the files that it was read from.
    ///
    /// # Errors
    ///
    /// The file that cannot be used, and why.
    pub fn new(settings: &Settings) -> Result<(Guard, Files), Refused> {
        let mut files = Files::default();
        let protection = Protection::load(settings, &mut files)?;
        Ok((
            Guard { settings: settings.clone(), current: ArcSwap::from_pointee(protection) },
            files,
        ))
    }

    /// The protection now.
    pub fn current(&self) -> arc_swap::Guard<Arc<Protection>> {
        self.current.load()
    }

    /// Reads `files` again whenever they change, until the guard is dropped. As long as they cannot be used,
    /// what was read before holds.
    ///
    /// A file can hold up whoever reads it for ever. So a thread looks for which nobody waits, not even the
    /// end of the process.
    pub fn watch(self: &Arc<Self>, mut files: Files) {
        let guard = Arc::downgrade(self);
        let watching = std::thread::Builder::new().name("watched files".to_owned());
        let watching = watching.spawn(move || {
            while let Some(guard) = guard.upgrade() {
                if files.have_changed() {
                    files = guard.read_again();
                }
                drop(guard);
                std::thread::sleep(LOOK_EVERY);
            }
        });
        if let Err(error) = watching {
            warn!(
                "changes of certificates and users will not be noticed before a restart: {error}"
            );
        }
    }

    /// Reads the changed files.
    fn read_again(&self) -> Files {
        let mut files = Files::default();
        match Protection::load(&self.settings, &mut files) {
            Ok(protection) if !protection.may_follow(&self.current()) => warn!(
                "the changed files switch encryption on or off, or let in who was kept out; that \
                 needs a restart, and those from before are used"
            ),
            Ok(protection) => {
                if let (Some(users), Some(before)) =
                    (&protection.access.users, &self.current().access.users)
                {
                    users.remember(before);
                }
                self.current.store(Arc::new(protection));
                info!("read the changed files of certificates and users");
            }
            Err(refused) => warn!(
                "the changed files of certificates and users cannot be used, those from before \
                 are: {refused}"
            ),
        }
        files
    }
}

/// Lets those through who may read.
pub async fn protect(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let protection = guard.current();
    // Without a peer nothing is known of the client, so that only an open door lets it through.
    let nobody = Peer { address: IpAddr::from([0, 0, 0, 0]), certified: false };
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(nobody);
    match protection.access.check(peer, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(denied) => {
            tracing::debug!(address = %peer.address, reason = ?denied, "refused a request");
            protection.access.refuse(denied)
        }
    }
}
