//! The web configuration file of Prometheus's exporter-toolkit.
//!
//! Whoever has one for other exporters uses it here. What cannot be kept is refused, not ignored.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_saphyr::Error;
use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::engine::watched_files::{Files, Inline, Pem, Refused};
use crate::http::tls::Tls;
use crate::http::users::Users;

/// What such a file says.
#[derive(Debug)]
pub struct WebConfig {
    /// Encryption.
    pub tls: Option<Tls>,
    /// Whether a client needs a certificate.
    pub certificate: bool,
    /// Who may read with which password.
    pub users: Option<Arc<Users>>,
    /// Headers of every answer.
    pub headers: HeaderMap,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    tls_server_config: Option<TlsServerConfig>,
    http_server_config: Option<HttpServerConfig>,
    basic_auth_users: Option<HashMap<String, String>>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TlsServerConfig {
    cert: Option<String>,
    key: Option<String>,
    client_ca: Option<String>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_auth_type: ClientAuthType,
    client_ca_file: Option<PathBuf>,
    min_version: Version,
    max_version: Option<Version>,
    // The order of preference is the TLS library's own in any case.
    #[serde(rename = "prefer_server_cipher_suites")]
    _prefer_server_cipher_suites: bool,
}

/// Of Go's five policies those that verify what they get, and none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
enum ClientAuthType {
    #[default]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
enum Version {
    #[default]
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HttpServerConfig {
    // HTTP/2 is not spoken; Prometheus takes HTTP/1.1 as well.
    #[serde(rename = "http2")]
    _http2: bool,
    headers: Option<BTreeMap<String, String>>,
}

impl WebConfig {
    /// Reads the file at `path`. The files that it names are looked for beside it.
    ///
    /// # Errors
    ///
    /// If it cannot be read or asks for something that is not to be had here.
    pub fn load(path: &Path, files: &mut Files) -> Result<WebConfig, Refused> {
        let text = files.read(path)?;
        let refused = |expected: String| Refused { path: path.to_owned(), expected };
        let document: Document =
            serde_saphyr::from_slice(&text).map_err(|error| refused(explain(&error)))?;
        let users = match document.basic_auth_users.filter(|users| !users.is_empty()) {
            None => None,
            Some(users) => Some(
                Users::new(users)
                    .ok_or_else(|| refused(format!("basic_auth_users with {}", Users::ACCEPTED)))?,
            ),
        };
        let http = document.http_server_config.unwrap_or_default();
        let headers = headers(http.headers.unwrap_or_default()).map_err(refused)?;
        // A section that says nothing is as good as none.
        let tls = document.tls_server_config.filter(|tls| *tls != TlsServerConfig::default());
        let client = tls.as_ref().map(|tls| tls.client_auth_type);
        let tls = tls
            .map(|tls| tls.read(path))
            .transpose()
            .map_err(|expected| refused(expected.to_owned()))?;
        let certificate = client == Some(ClientAuthType::RequireAndVerifyClientCert);
        Ok(WebConfig { tls, certificate, users: users.map(Arc::new), headers })
    }
}

impl TlsServerConfig {
    fn read(self, path: &Path) -> Result<Tls, &'static str> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let pem = |file: Option<PathBuf>, inline: Option<String>| match (file, inline) {
            (Some(file), None) => Ok(Some(Pem::File(folder.join(file)))),
            (None, Some(text)) => Ok(Some(Pem::Inline(path.to_owned(), Inline(text)))),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err("a certificate or key once, not also as a file"),
        };
        let certificate = pem(self.cert_file, self.cert)?;
        let key = pem(self.key_file, self.key)?;
        let client_authorities = pem(self.client_ca_file, self.client_ca)?;
        let (Some(certificate), Some(key)) = (certificate, key) else {
            return Err("tls_server_config with both cert_file and key_file");
        };
        if client_authorities.is_some() != (self.client_auth_type != ClientAuthType::NoClientCert) {
            return Err("both client_ca_file and a client_auth_type that verifies, or neither");
        }
        let max_version = self.max_version.unwrap_or(Version::Tls13);
        let versions: [(Version, &'static SupportedProtocolVersion); 2] =
            [(Version::Tls13, &TLS13), (Version::Tls12, &TLS12)];
        let versions: Vec<_> = versions
            .into_iter()
            .filter(|(version, _)| (self.min_version..=max_version).contains(version))
            .map(|(_, version)| version)
            .collect();
        if versions.is_empty() {
            return Err("a max_version that is not below min_version");
        }
        Ok(Tls { certificate, key, client_authorities, versions })
    }
}

/// The headers that the exporter-toolkit lets a file set, and the values of those that have but few.
/// Others could break the answer, such as Transfer-Encoding.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

fn headers(headers: BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let header = |(name, value): (String, String)| {
        let known = HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
        let Some((known, values)) = known else {
            let names = HEADERS.map(|(name, _)| name).join(", ");
            return Err(format!("http_server_config.headers of {names}"));
        };
        if !values.is_empty() && !values.iter().any(|known| known.eq_ignore_ascii_case(&value)) {
            return Err(format!("{} as the header {known}", values.join(" or ")));
        }
        match (known.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            _ => Err(format!("a value that HTTP allows for the header {known}")),
        }
    };
    headers.into_iter().map(header).collect()
}

/// What is wrong with a file, without showing any of its values.
fn explain(error: &Error) -> String {
    let place = match error.location() {
        Some(location) => format!(" (line {})", location.line()),
        None => String::new(),
    };
    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("one of {}, not {field}{place}", expected.join(", "))
        }
        _ => format!("a web configuration file as in docs/security.md{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<WebConfig, String> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("usage-exporter-web-config-{}-{number}.yml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("a file");
        let loaded = WebConfig::load(&path, &mut Files::default());
        std::fs::remove_file(&path).expect("the file");
        loaded.map_err(|refused| refused.expected)
    }

    #[test]
    fn the_example_of_the_toolkit_is_understood() {
        let config = load(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: /keys/server.key\n  min_version: TLS13\n\
             http_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: deny\n\
             basic_auth_users:\n  alice: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze\n",
        )
        .expect("a good file");
        let tls = config.tls.expect("TLS");
        let folder = std::env::temp_dir();
        assert!(matches!(tls.certificate, Pem::File(path) if path == folder.join("server.crt")));
        assert!(matches!(tls.key, Pem::File(path) if path == Path::new("/keys/server.key")));
        assert_eq!(tls.versions, [&TLS13]);
        assert!(config.users.is_some() && !config.certificate);
        assert_eq!(config.headers["x-frame-options"], "deny");
        for empty in [
            "",
            "http_server_config:\n",
            "http_server_config:\n  headers:\n",
            "http_server_config: {}\ntls_server_config: {}\nbasic_auth_users: {}\n",
            "tls_server_config:\nbasic_auth_users:\n",
        ] {
            let config = load(empty).expect(empty);
            assert!(config.users.is_none() && config.tls.is_none() && config.headers.is_empty());
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused_without_showing_it() {
        let tls = "tls_server_config:\n  cert_file: c\n  key_file: k\n";
        let cases = [
            ("basic_auth_users:\n  alice: hunter2\n".to_owned(), "bcrypt"),
            ("basic_auth_users: hunter2\n".to_owned(), "(line 1)"),
            ("rate_limit:\n  burst: 3\n".to_owned(), "not rate_limit (line 1)"),
            ("tls_server_config:\n  cert_file: c\n".to_owned(), "both cert_file and key_file"),
            (format!("{tls}  cert: hunter2\n"), "once"),
            (format!("{tls}  client_auth_type: RequireAndVerifyClientCert\n"), "client_ca_file"),
            (format!("{tls}  client_ca_file: ca\n"), "client_auth_type"),
            (format!("{tls}  client_auth_type: RequireAnyClientCert\n"), "line 4"),
            (format!("{tls}  client_allowed_sans: [a]\n"), "not client_allowed_sans"),
            (format!("{tls}  min_version: TLS13\n  max_version: TLS12\n"), "max_version"),
            ("http_server_config:\n  headers:\n    'a b': c\n".to_owned(), "headers of Content-Sec"),
            (
                "http_server_config:\n  headers:\n    Transfer-Encoding: chunked\n".to_owned(),
                "headers of Content-Security-Policy",
            ),
            (
                "http_server_config:\n  headers:\n    X-Frame-Options: hunter2\n".to_owned(),
                "deny or sameorigin as the header X-Frame-Options",
            ),
            (
                "http_server_config:\n  headers:\n    X-XSS-Protection: \"1\\n\"\n".to_owned(),
                "HTTP allows",
            ),
            (
                "basic_auth_users:\n  a: $2y$03$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze\n"
                    .to_owned(),
                "cost 4 to 16",
            ),
            (
                "basic_auth_users:\n  a: $2y$99$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze\n"
                    .to_owned(),
                "bcrypt hashes",
            ),
            ("[hunter2".to_owned(), "docs/security.md"),
        ];
        for (text, part) in cases {
            let problem = load(&text).expect_err(&text);
            assert!(problem.contains(part), "{problem:?} for {text}");
            assert!(!problem.contains("hunter2"), "{problem:?}");
        }
    }
}
