//! Who may read the metrics.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::engine::fingerprint::Fingerprint;
use crate::http::networks::Networks;
use crate::http::users::Users;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Whether it showed a certificate that the server trusts.
    pub certified: bool,
}

/// What a client must be and know to read the metrics; nothing by default.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Where it must be.
    pub networks: Option<Networks>,
    /// Whether it needs a certificate of its own.
    pub certificate: bool,
    /// The token it may show.
    pub bearer: Option<Fingerprint>,
    /// The `user:password` it may show.
    pub basic: Option<Fingerprint>,
    /// Further users whose passwords it may show.
    pub users: Option<Arc<Users>>,
}

/// Why a client may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It is elsewhere.
    Network,
    /// It has no certificate.
    Certificate,
    /// It shows no right password or token.
    Credentials,
}

impl Access {
    /// Who may read, for the log.
    pub fn readers(&self) -> String {
        let conditions: Vec<&str> = [
            (self.networks.is_some(), "from the allowed networks"),
            (self.certificate, "with a certificate"),
            (self.needs_credentials(), "with credentials"),
        ]
        .into_iter()
        .filter_map(|(wanted, condition)| wanted.then_some(condition))
        .collect();
        if conditions.is_empty() {
            return "everyone who reaches the port".to_owned();
        }
        format!("clients {}", conditions.join(" and "))
    }

    /// Whether a client needs everything here that it needs for `other`: credentials and a certificate.
    pub fn asks_all_that(&self, other: &Access) -> bool {
        (self.needs_credentials() || !other.needs_credentials())
            && (self.certificate || !other.certificate)
    }

    fn needs_credentials(&self) -> bool {
        self.bearer.is_some() || self.takes_passwords()
    }

    fn takes_passwords(&self) -> bool {
        self.basic.is_some() || self.users.is_some()
    }

    /// Whether a client may read.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub async fn check(&self, peer: Peer, headers: &HeaderMap) -> Result<(), Denied> {
        if self.networks.as_ref().is_some_and(|networks| !networks.allow(peer.address, headers)) {
            return Err(Denied::Network);
        }
        if self.certificate && !peer.certified {
            return Err(Denied::Certificate);
        }
        if self.needs_credentials() && !self.accept(headers.get(AUTHORIZATION)).await {
            return Err(Denied::Credentials);
        }
        Ok(())
    }

    async fn accept(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some((scheme, given)) = authorization
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
        else {
            return false;
        };
        let given = given.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.bearer.is_some_and(|token| token.matches(given.as_bytes()));
        }
        if !scheme.eq_ignore_ascii_case("basic") || !self.takes_passwords() {
            return false;
        }
        let Ok(given) = STANDARD.decode(given) else { return false };
        if self.basic.is_some_and(|basic| basic.matches(&given)) {
            return true;
        }
        match (&self.users, std::str::from_utf8(&given)) {
            (Some(users), Ok(given)) => users.accept(given).await,
            _ => false,
        }
    }

    /// The answer to a client that may not read.
    pub fn refuse(&self, denied: Denied) -> Response {
        let (status, text) = match denied {
            Denied::Network => (StatusCode::FORBIDDEN, "this address may not read the metrics\n"),
            Denied::Certificate => (StatusCode::FORBIDDEN, "a client certificate is needed\n"),
            Denied::Credentials => (StatusCode::UNAUTHORIZED, "credentials are needed\n"),
        };
        let mut response = (status, text).into_response();
        if denied == Denied::Credentials {
            let schemes = [
                (self.takes_passwords(), r#"Basic realm="usage-exporter", charset="UTF-8""#),
                (self.bearer.is_some(), r#"Bearer realm="usage-exporter""#),
            ];
            for (_, scheme) in schemes.into_iter().filter(|(wanted, _)| *wanted) {
                let value = HeaderValue::from_static(scheme);
                response.headers_mut().append(WWW_AUTHENTICATE, value);
            }
        }
        response
    }
}
