//! The files of certificates that a connection string names.

use std::fs;
use std::path::Path;

use mongodb::options::TlsOptions;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContext, SslMethod};
use openssl::x509::X509;

const CA_FILE: &str = "tlsCAFile";
const KEY_FILE: &str = "tlsCertificateKeyFile";

/// Looks into the files as the driver will when it connects.
///
/// # Errors
///
/// What was expected instead, for each file that cannot be used; else what is to be known about them.
pub fn check(options: &TlsOptions) -> Result<Vec<String>, Vec<String>> {
    let mut problems = Vec::new();
    let mut authorities = Vec::new();
    if let Some(path) = &options.ca_file_path {
        match read(CA_FILE, path).and_then(|pem| certificates(CA_FILE, path, &pem)) {
            Ok(certificates) => authorities = certificates,
            Err(problem) => problems.push(problem),
        }
    }
    let mut notes = Vec::new();
    if let Some(path) = &options.cert_key_file_path {
        let password = options.tls_certificate_key_file_password.as_deref();
        match read(KEY_FILE, path).and_then(|pem| key_and_certificates(path, &pem, password)) {
            Ok(certificates) => {
                let sent = |certificate: &X509| {
                    let encoded = certificate.to_der().ok();
                    authorities.iter().any(|authority| authority.to_der().ok() == encoded)
                };
                if !certificates.iter().skip(1).all(sent) {
                    notes.push(format!(
                        "of {KEY_FILE} the driver sends the first certificate; the server gets those of \
                         intermediate authorities only if they are in {CA_FILE} too"
                    ));
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(notes) } else { Err(problems) }
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| {
        format!("{option} to be a file that can be read: {} ({error})", path.display())
    })
}

fn certificates(option: &str, path: &Path, pem: &[u8]) -> Result<Vec<X509>, String> {
    let certificates =
        X509::stack_from_pem(pem).ok().filter(|certificates| !certificates.is_empty());
    certificates.ok_or_else(|| format!("{option} to have certificates in PEM: {}", path.display()))
}

fn key_and_certificates(
    path: &Path,
    pem: &[u8],
    password: Option<&[u8]>,
) -> Result<Vec<X509>, String> {
    let certificates = certificates(KEY_FILE, path, pem)?;
    let key = private_key(path, pem, password)?;
    let fits = certificates
        .first()
        .and_then(|certificate| certificate.public_key().ok())
        .is_some_and(|public| public.public_eq(&key));
    if !fits {
        let path = path.display();
        return Err(format!("{KEY_FILE} to begin with the certificate of its key: {path}"));
    }
    // OpenSSL does not take every key, and says why.
    let taken = SslContext::builder(SslMethod::tls_client()).and_then(|mut context| {
        certificates.first().map(|first| context.set_certificate(first)).transpose()?;
        context.set_private_key(&key)
    });
    match taken {
        Ok(()) => Ok(certificates),
        Err(errors) => {
            let reason = errors.errors().iter().find_map(|error| error.reason());
            let reason = reason.unwrap_or("no reason is told");
            Err(format!("{KEY_FILE} that OpenSSL takes: {} ({reason})", path.display()))
        }
    }
}

fn private_key(path: &Path, pem: &[u8], password: Option<&[u8]>) -> Result<PKey<Private>, String> {
    let mut is_encrypted = false;
    let key = PKey::private_key_from_pem_callback(pem, |buffer| {
        is_encrypted = true;
        let password = password.unwrap_or_default();
        match buffer.get_mut(..password.len()) {
            Some(room) => room.copy_from_slice(password),
            None => return Ok(0),
        }
        Ok(password.len())
    });
    let path = path.display();
    key.map_err(|_| match (is_encrypted, password) {
        (true, None) => {
            format!(
                "tlsCertificateKeyFilePassword, since the key of {KEY_FILE} is encrypted: {path}"
            )
        }
        (true, Some(_)) => {
            format!("tlsCertificateKeyFilePassword to open the key of {KEY_FILE}: {path}")
        }
        (false, _) => format!("{KEY_FILE} to have a private key in PEM: {path}"),
    })
}
