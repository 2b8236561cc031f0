//! Whose certificates are taken.

use std::path::Path;

use anyhow::{Context, ensure};

/// Where OpenSSL looks for authorities of its own accord.
const FILE: &str = "SSL_CERT_FILE";
const FOLDER: &str = "SSL_CERT_DIR";

/// No folder, so that none is looked into.
const NOTHING: &str = "/dev/null";

/// Lets OpenSSL trust the authorities in `file` alone. The driver would trust those of the system beside the
/// ones of a `tlsCAFile`, while pymongo and LibreChat take the file for all there are.
///
/// It changes the environment, so it must be called before there are threads.
///
/// # Errors
///
/// If the environment does not take the name of the file.
pub fn only(file: &Path) -> anyhow::Result<()> {
    let path = file.to_str().context("the name of tlsCAFile is not UTF-8")?;
    let mut quoted = String::new();
    for character in path.chars() {
        match character {
            '\\' | '"' | '$' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            _ => quoted.push(character),
        }
    }
    // What reads `.env` is the one way to set variables without unsafe code.
    let lines = format!("{FILE}=\"{quoted}\"\n{FOLDER}={NOTHING}\n");
    dotenvy::from_read_override(lines.as_bytes()).context("cannot set SSL_CERT_FILE")?;
    let is_set = std::env::var_os(FILE).is_some_and(|set| set == file.as_os_str());
    ensure!(is_set, "cannot set SSL_CERT_FILE to the name of tlsCAFile");
    Ok(())
}
