//! Comparing what a client sends with what it must know.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 of a secret, so that the secret itself is not kept, and comparing takes as long for every
/// guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of `secret`.
    pub fn of(secret: impl AsRef<[u8]>) -> Fingerprint {
        Fingerprint(Sha256::digest(secret).into())
    }

    /// Whether `guess` is the secret.
    pub fn matches(&self, guess: &[u8]) -> bool {
        Fingerprint::of(guess).0.ct_eq(&self.0).into()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fingerprint(..)")
    }
}
