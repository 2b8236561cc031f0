//! Who may read the metrics.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::engine::fingerprint::Fingerprint;
use crate::http::networks::Networks;
use crate::http::users::{Checked, Users};

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
    /// Too many passwords from its address wait to be checked.
    TooMany,
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
        if !self.needs_credentials() {
            return Ok(());
        }
        match self.check_credentials(peer, headers.get(AUTHORIZATION)).await {
            Checked::Right => Ok(()),
            Checked::Wrong => Err(Denied::Credentials),
            Checked::TooMany => Err(Denied::TooMany),
        }
    }

    async fn check_credentials(&self, peer: Peer, authorization: Option<&HeaderValue>) -> Checked {
        let Some((scheme, given)) = authorization
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
        else {
            return Checked::Wrong;
        };
        let given = given.trim();
        let right = |is_right| if is_right { Checked::Right } else { Checked::Wrong };
        if scheme.eq_ignore_ascii_case("bearer") {
            return right(self.bearer.is_some_and(|token| token.matches(given.as_bytes())));
        }
        if !scheme.eq_ignore_ascii_case("basic") || !self.takes_passwords() {
            return Checked::Wrong;
        }
        let Ok(given) = STANDARD.decode(given) else { return Checked::Wrong };
        if self.basic.is_some_and(|basic| basic.matches(&given)) {
            return Checked::Right;
        }
        match (&self.users, std::str::from_utf8(&given)) {
            (Some(users), Ok(given)) => users.check(peer.address, given).await,
            _ => Checked::Wrong,
        }
    }

    /// The answer to a client that may not read.
    pub fn refuse(&self, denied: Denied) -> Response {
        let (status, text) = match denied {
            Denied::Network => (StatusCode::FORBIDDEN, "this address may not read the metrics\n"),
            Denied::Certificate => (StatusCode::FORBIDDEN, "a client certificate is needed\n"),
            Denied::Credentials => (StatusCode::UNAUTHORIZED, "credentials are needed\n"),
            Denied::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too many passwords to check\n"),
        };
        let mut response = (status, text).into_response();
        if denied == Denied::TooMany {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
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
