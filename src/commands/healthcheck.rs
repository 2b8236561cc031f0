//! `usage-exporter healthcheck`: whether the exporter on this host lives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use ureq::tls::TlsConfig;

use crate::commands::config::Config;
use crate::http::Guard;

/// Asks the exporter of the same settings on this host whether it lives.
///
/// # Errors
///
/// If it does not answer, or not well.
pub fn check_health(config: &Config) -> anyhow::Result<()> {
    let (guard, _) = Guard::new(&config.http)?;
    let scheme = if guard.current().tls.is_some() { "https" } else { "http" };
    let host = match config.http.host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    let url = format!("{scheme}://{}/healthz", SocketAddr::new(host, config.http.port));
    // It is this host, whatever names the certificate has, and nothing secret is sent.
    let tls = TlsConfig::builder().disable_verification(true).build();
    let request = ureq::get(&url).config().tls_config(tls);
    let answer = request.timeout_global(Some(HEALTH_TIMEOUT)).build().call();
    answer.map(|_| ()).with_context(|| format!("{url} does not answer well"))
}

/// How long a process that lives may take to say so.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(4);
