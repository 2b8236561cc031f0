//! Why TLS with a server fails.
//!
//! The driver tells that a certificate was refused, not which and why. So when it cannot connect with TLS, a
//! connection is made here in the same way, and what OpenSSL says of the certificates is kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use futures_util::FutureExt;
use mongodb::error::{Error, ErrorKind};
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;
use mongodb::options::{ServerAddress, TlsOptions};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{self, SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::{X509, X509NameRef, X509Ref, X509StoreContextRef};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;
use tracing::warn;

/// How long one look at a server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// From one look at a server to the next.
const PAUSE: Duration = Duration::from_secs(30);

/// How long a server has to say that it refuses the certificate it was shown.
const ANSWER: Duration = Duration::from_secs(1);

/// MongoDB's default port.
const PORT: u16 = 27_017;

/// How many names of a certificate are told, and how much of each.
const SHOWN: usize = 8;
const MAX_CHARACTERS: usize = 100;

/// The numbers that OpenSSL gives to what it says of a certificate.
mod code {
    pub const NOT_YET_VALID: i32 = 9;
    pub const HAS_EXPIRED: i32 = 10;
    pub const SELF_SIGNED: i32 = 18;
    pub const SELF_SIGNED_IN_CHAIN: i32 = 19;
    pub const ISSUER_NOT_FOUND: i32 = 20;
    pub const CHAIN_BEGINS_NOWHERE: i32 = 21;
    pub const OTHER_NAME: i32 = 62;
    pub const OTHER_ADDRESS: i32 = 64;
}

/// Whether an error is one of TLS.
pub fn is_of_tls(error: &Error) -> bool {
    let told_by_openssl = |message: &str| {
        message.contains("SSL routines") || message.contains("certificate verify failed")
    };
    match error.kind.as_ref() {
        ErrorKind::Io(error) => told_by_openssl(&error.to_string()),
        ErrorKind::ServerSelection { message, .. }
        | ErrorKind::ConnectionPoolCleared { message, .. } => told_by_openssl(message),
        _ => false,
    }
}

/// What was said of the servers, and when they may be looked at again.
type Told = HashMap<String, (Instant, String)>;

/// What writes to the log why TLS with a server fails, once for every reason.
pub fn explain_in_log(options: TlsOptions) -> EventHandler<SdamEvent> {
    let told: Arc<Mutex<Told>> = Arc::default();
    EventHandler::async_callback(move |event| {
        let (options, told) = (options.clone(), told.clone());
        async move { hear(&event, &options, &told).await }.boxed()
    })
}

async fn hear(event: &SdamEvent, options: &TlsOptions, told: &Mutex<Told>) {
    let locked = || told.lock().unwrap_or_else(PoisonError::into_inner);
    let (address, failure) = match event {
        SdamEvent::ServerHeartbeatSucceeded(event) => (&event.server_address, None),
        SdamEvent::ServerHeartbeatFailed(event) => (&event.server_address, Some(&event.failure)),
        _ => return,
    };
    let ServerAddress::Tcp { host, port } = address else { return };
    let port = port.unwrap_or(PORT);
    let server = format!("{host}:{port}");
    let Some(failure) = failure else {
        locked().remove(&server);
        return;
    };
    // A server that speaks no TLS, or does not like what it is shown, may just hang up.
    let hung_up = matches!(failure.kind.as_ref(), ErrorKind::Io(error)
        if [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset].contains(&error.kind())
            || error.to_string() == "unexpected EOF");
    if !hung_up && !is_of_tls(failure) {
        return;
    }
    let now = Instant::now();
    let before = match locked().entry(server.clone()) {
        Entry::Occupied(told) if told.get().0 > now => return,
        Entry::Occupied(mut told) => {
            std::mem::replace(told.get_mut(), (now + PAUSE, String::new())).1
        }
        Entry::Vacant(place) => {
            place.insert((now + PAUSE, String::new()));
            String::new()
        }
    };
    let sentence = match timeout(PATIENCE, explain(host, port, options)).await {
        Ok(Some(sentence)) => sentence,
        _ => before.clone(),
    };
    if sentence != before {
        warn!("{sentence}");
    }
    if let Some(told) = locked().get_mut(&server) {
        told.1 = sentence;
    }
}

/// Why TLS with a server fails, in a sentence; `None` if it does not, or is not what fails.
async fn explain(host: &str, port: u16, options: &TlsOptions) -> Option<String> {
    let refused: Arc<Mutex<Option<String>>> = Arc::default();
    let connector = connector(options, refused.clone()).ok()?;
    let check_name = options.allow_invalid_hostnames != Some(true);
    let ssl = connector.configure().ok()?.verify_hostname(check_name).into_ssl(host).ok()?;
    let stream = TcpStream::connect((host, port)).await.ok()?;
    let mut stream = SslStream::new(ssl, stream).ok()?;
    let Err(error) = Pin::new(&mut stream).connect().await else {
        // What a server thinks of the certificate of the exporter it says afterwards, if at all: MongoDB
        // writes it to its own log and hangs up.
        let mut byte = [0];
        let reason = match timeout(ANSWER, stream.read(&mut byte)).await.ok()? {
            Ok(0) => None,
            Ok(_) => return None,
            Err(error) => error.into_inner().and_then(|error| reason(error.downcast_ref()?)),
        };
        let reason = reason.unwrap_or_else(|| "it hung up; its own log says why".to_owned());
        return Some(alerted(host, port, options, &reason));
    };
    if let Some(refused) = refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Some(format!("the certificate of {host}:{port} is not taken: {refused}"));
    }
    let Some(reason) = reason(&error) else {
        return Some(format!(
            "{host}:{port} hung up when TLS began, and probably does not speak TLS"
        ));
    };
    if reason.contains("alert") {
        return Some(alerted(host, port, options, &reason));
    }
    Some(match reason.as_str() {
        "wrong version number" | "packet length too long" | "record layer failure" => {
            format!("{host}:{port} does not speak TLS, and the URI asks for it ({reason})")
        }
        _ => format!("TLS with {host}:{port} fails: {reason}"),
    })
}

/// What a server says that has refused the exporter.
fn alerted(host: &str, port: u16, options: &TlsOptions, reason: &str) -> String {
    match &options.cert_key_file_path {
        Some(path) => format!(
            "{host}:{port} refuses the exporter, which showed the certificate of tlsCertificateKeyFile {}: \
             {reason}",
            path.display()
        ),
        None => format!(
            "{host}:{port} refuses the exporter, which has no certificate to show, as the URI has no \
             tlsCertificateKeyFile: {reason}"
        ),
    }
}

fn reason(error: &ssl::Error) -> Option<String> {
    let errors = error.ssl_error()?.errors();
    let reason = errors.iter().find_map(|error| error.reason())?;
    (reason != "unexpected eof while reading").then(|| reason.to_owned())
}

/// What connects as the driver does, and keeps why a certificate is refused.
fn connector(
    options: &TlsOptions,
    refused: Arc<Mutex<Option<String>>>,
) -> Result<SslConnector, ErrorStack> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    if let Some(path) = &options.ca_file_path {
        builder.set_ca_file(path)?;
    }
    if let Some(path) = &options.cert_key_file_path {
        let pem = fs::read(path).unwrap_or_default();
        let password = options.tls_certificate_key_file_password.as_deref().unwrap_or_default();
        let certificate = X509::from_pem(&pem)?;
        let key = PKey::private_key_from_pem_passphrase(&pem, password)?;
        builder.set_certificate(&certificate)?;
        builder.set_private_key(&key)?;
    }
    if options.allow_invalid_certificates == Some(true) {
        builder.set_verify(SslVerifyMode::NONE);
        return Ok(builder.build());
    }
    builder.set_verify_callback(SslVerifyMode::PEER, move |is_fine, context| {
        if !is_fine {
            let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.get_or_insert_with(|| what_is_wrong(context));
        }
        is_fine
    });
    Ok(builder.build())
}

/// Which certificate is refused and why.
fn what_is_wrong(context: &X509StoreContextRef) -> String {
    let error = context.error();
    let Some(certificate) = context.current_cert() else { return error.to_string() };
    let subject = name(certificate.subject_name());
    let which = match context.error_depth() {
        0 => format!("its subject is {subject}"),
        _ => format!("it is signed by {subject}"),
    };
    let issuer = || name(certificate.issuer_name());
    let details = match error.as_raw() {
        code::NOT_YET_VALID => format!("; it is valid from {}", certificate.not_before()),
        code::HAS_EXPIRED => format!("; it was valid to {}", certificate.not_after()),
        code::OTHER_NAME | code::OTHER_ADDRESS => format!("; it is one of {}", names(certificate)),
        code::SELF_SIGNED | code::SELF_SIGNED_IN_CHAIN => {
            "; no authority of tlsCAFile or, without it, of this machine is that".to_owned()
        }
        code::ISSUER_NOT_FOUND | code::CHAIN_BEGINS_NOWHERE => format!(
            "; its issuer {} is neither sent nor among the authorities of tlsCAFile or, without it, of this \
             machine",
            issuer()
        ),
        _ => String::new(),
    };
    format!("{} ({which}{details})", error.error_string())
}

/// The names that a certificate is for.
fn names(certificate: &X509Ref) -> String {
    let alternatives = certificate.subject_alt_names();
    let names = alternatives.iter().flatten().filter_map(|name| {
        let address = name.ipaddress().and_then(|bytes| match *bytes {
            [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d).to_string()),
            _ => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string()),
        });
        name.dnsname().map(printable).or(address)
    });
    let names: Vec<String> = names.take(SHOWN).collect();
    if names.is_empty() { "no server by a subjectAltName".to_owned() } else { names.join(", ") }
}

/// A distinguished name, such as `CN=mongodb, O=Example`.
fn name(name: &X509NameRef) -> String {
    let entries = name.entries().take(SHOWN).map(|entry| {
        let key = entry.object().nid().short_name().unwrap_or("?");
        let value = entry.data().to_string().unwrap_or_default();
        format!("{key}={}", printable(&value))
    });
    let entries: Vec<String> = entries.collect();
    if entries.is_empty() { "empty".to_owned() } else { entries.join(", ") }
}

fn printable(text: &str) -> String {
    text.escape_debug().take(MAX_CHARACTERS).collect()
}
