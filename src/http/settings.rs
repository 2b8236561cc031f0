//! The settings of the HTTP server: where it listens and who may read.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::engine::fingerprint::Fingerprint;
use crate::engine::watched_files::Refused;
use crate::http::credentials::{fault_of_password, fault_of_token};
use crate::http::networks::Networks;
use crate::settings::{Reader, Setting};

const METRICS_HOST: Setting = Setting::new("METRICS_HOST", "0.0.0.0", "The address to listen on.");
const METRICS_PORT: Setting =
    Setting::new("METRICS_PORT", "8000", "The port to listen on; 0 takes a free one.");
const METRICS_BEARER_TOKEN: Setting =
    Setting::secret("METRICS_BEARER_TOKEN", "", "The token that a client must show.");
const METRICS_BASIC_AUTH_USER: Setting =
    Setting::new("METRICS_BASIC_AUTH_USER", "", "The user for whom a client must show a password.");
const METRICS_BASIC_AUTH_PASSWORD: Setting =
    Setting::secret("METRICS_BASIC_AUTH_PASSWORD", "", "The password of that user.");
const METRICS_ALLOWED_IPS: Setting = Setting::new(
    "METRICS_ALLOWED_IPS",
    "",
    "The networks of those who may read, such as 10.0.0.0/8,fd00::/8 [default: all].",
);
const TRUSTED_PROXIES: Setting = Setting::new(
    "TRUSTED_PROXIES",
    "",
    "The networks of proxies whose X-Forwarded-For is believed [default: none].",
);
const TLS_CERT_FILE: Setting =
    Setting::new("TLS_CERT_FILE", "", "The server's certificate and its chain, in PEM.");
const TLS_KEY_FILE: Setting =
    Setting::new("TLS_KEY_FILE", "", "The key of the certificate, in PEM.");
const TLS_CLIENT_CA_FILE: Setting = Setting::new(
    "TLS_CLIENT_CA_FILE",
    "",
    "The authorities, in PEM, of which each client needs a certificate.",
);
const WEB_CONFIG_FILE: Setting = Setting::new(
    "WEB_CONFIG_FILE",
    "",
    "A web configuration file of Prometheus's exporter-toolkit, instead of the TLS settings.",
);

/// The settings of the HTTP server, in the order of `--help`.
pub const SETTINGS: &[Setting] = &[
    METRICS_HOST,
    METRICS_PORT,
    METRICS_BEARER_TOKEN,
    METRICS_BASIC_AUTH_USER,
    METRICS_BASIC_AUTH_PASSWORD,
    METRICS_ALLOWED_IPS,
    TRUSTED_PROXIES,
    TLS_CERT_FILE,
    TLS_KEY_FILE,
    TLS_CLIENT_CA_FILE,
    WEB_CONFIG_FILE,
];

/// Where encryption and users are described.
#[derive(Debug, Clone)]
pub enum Encryption {
    /// Nowhere.
    None,
    /// In files of their own.
    Files {
        /// The server's certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
        /// The authorities that certify the clients, each of which needs a certificate.
        client_authorities: Option<PathBuf>,
    },
    /// In a file of Prometheus's exporter-toolkit.
    WebConfig(PathBuf),
}

/// What the HTTP server is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on.
    pub port: u16,
    /// The token that a client may show.
    pub bearer: Option<Fingerprint>,
    /// The `user:password` that a client may show.
    pub basic: Option<Fingerprint>,
    /// From where the metrics may be read; `None`: from everywhere.
    pub networks: Option<Networks>,
    /// Where encryption and further users are described.
    pub encryption: Encryption,
}

impl Settings {
    /// Reads the settings; `None` if one is wrong. The files that they name are not read yet.
    pub fn read(reader: &mut Reader) -> Option<Settings> {
        let host = reader
            .read(&METRICS_HOST, "an IP address such as 0.0.0.0 or ::", |value| value.parse().ok());
        let port =
            reader.read(&METRICS_PORT, "a port number from 0 to 65535", |value| value.parse().ok());
        let bearer = bearer(reader);
        let basic = basic(reader);
        let networks = networks(reader);
        let encryption = encryption(reader);
        Some(Settings {
            host: host?,
            port: port?,
            bearer: bearer?,
            basic: basic?,
            networks: networks?,
            encryption: encryption?,
        })
    }

    /// Notes that a file which they name cannot be used.
    pub fn refuse_file(reader: &mut Reader, refused: &Refused) {
        let files = [&TLS_CERT_FILE, &TLS_KEY_FILE, &TLS_CLIENT_CA_FILE];
        let named =
            |setting: &&Setting| reader.given(setting).is_some_and(|path| refused.path == *path);
        match files.into_iter().find(named) {
            Some(setting) => reader.refuse(setting, &refused.expected),
            None => reader.refuse(&WEB_CONFIG_FILE, &format!("a good file; {refused}")),
        }
    }
}

fn bearer(reader: &mut Reader) -> Option<Option<Fingerprint>> {
    let Some(token) = reader.given(&METRICS_BEARER_TOKEN) else { return Some(None) };
    match fault_of_token(token) {
        None => Some(Some(Fingerprint::of(token))),
        Some(expected) => refuse(reader, &METRICS_BEARER_TOKEN, expected),
    }
}

fn basic(reader: &mut Reader) -> Option<Option<Fingerprint>> {
    let user = reader.given(&METRICS_BASIC_AUTH_USER).map(str::to_owned);
    let password = reader.given(&METRICS_BASIC_AUTH_PASSWORD).map(str::to_owned);
    match (user, password) {
        (None, None) => Some(None),
        (Some(user), Some(_)) if user.contains(':') => {
            refuse(reader, &METRICS_BASIC_AUTH_USER, "a name without a colon")
        }
        (Some(user), Some(password)) => {
            let texts =
                [(&METRICS_BASIC_AUTH_USER, &user), (&METRICS_BASIC_AUTH_PASSWORD, &password)];
            let mut faults = texts
                .into_iter()
                .filter_map(|(setting, text)| Some((setting, fault_of_password(text)?)));
            match faults.next() {
                None => Some(Some(Fingerprint::of(format!("{user}:{password}")))),
                Some((setting, expected)) => refuse(reader, setting, expected),
            }
        }
        (Some(_), None) => refuse(
            reader,
            &METRICS_BASIC_AUTH_PASSWORD,
            "a password for METRICS_BASIC_AUTH_USER, which is set",
        ),
        (None, Some(_)) => refuse(
            reader,
            &METRICS_BASIC_AUTH_USER,
            "a user for METRICS_BASIC_AUTH_PASSWORD, which is set",
        ),
    }
}

fn networks(reader: &mut Reader) -> Option<Option<Networks>> {
    let allowed = reader.read(&METRICS_ALLOWED_IPS, Networks::ACCEPTED, Networks::parse);
    let proxies = reader.read(&TRUSTED_PROXIES, Networks::ACCEPTED, Networks::parse);
    let (allowed, proxies) = (allowed?, proxies?);
    match (allowed.is_empty(), proxies.is_empty()) {
        (false, _) => Some(Some(Networks { allowed, proxies })),
        (true, true) if reader.given(&METRICS_ALLOWED_IPS).is_some() => {
            refuse(reader, &METRICS_ALLOWED_IPS, Networks::ACCEPTED)
        }
        (true, true) => Some(None),
        (true, false) => refuse(
            reader,
            &METRICS_ALLOWED_IPS,
            "the networks of those who may read through TRUSTED_PROXIES, which is set",
        ),
    }
}

fn encryption(reader: &mut Reader) -> Option<Encryption> {
    let path = |setting| reader.given(setting).map(PathBuf::from);
    let (certificate, key) = (path(&TLS_CERT_FILE), path(&TLS_KEY_FILE));
    let client_authorities = path(&TLS_CLIENT_CA_FILE);
    let web_config = path(&WEB_CONFIG_FILE);
    match (web_config, certificate, key) {
        (None, Some(certificate), Some(key)) => {
            Some(Encryption::Files { certificate, key, client_authorities })
        }
        (Some(file), None, None) if client_authorities.is_none() => {
            Some(Encryption::WebConfig(file))
        }
        (Some(_), ..) => refuse(
            reader,
            &WEB_CONFIG_FILE,
            "either this or TLS_CERT_FILE, TLS_KEY_FILE and TLS_CLIENT_CA_FILE",
        ),
        (None, None, None) if client_authorities.is_none() => Some(Encryption::None),
        (None, None, _) => refuse(
            reader,
            &TLS_CERT_FILE,
            "a certificate, as TLS_KEY_FILE or TLS_CLIENT_CA_FILE is set",
        ),
        (None, Some(_), None) => {
            refuse(reader, &TLS_KEY_FILE, "the key of TLS_CERT_FILE, which is set")
        }
    }
}

fn refuse<T>(reader: &mut Reader, setting: &Setting, expected: &str) -> Option<T> {
    reader.refuse(setting, expected);
    None
}
