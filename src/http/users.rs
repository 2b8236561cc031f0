//! People and programs with a password of their own, kept as bcrypt hashes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use bcrypt::HashParts;
use tokio::sync::Semaphore;

use crate::engine::fingerprint::Fingerprint;

/// A hash that no password has, so that a user who does not exist takes as long as one who does.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuu5lYxxfzK1yzdN2RV6cVzvQP1bYmjW3K";

/// Users by name with their bcrypt hashes.
///
/// bcrypt is slow on purpose. Passwords that were right are remembered by their fingerprints, so that
/// a scrape costs nothing, and wrong ones are checked one at a time, so that guessing holds up nobody.
#[derive(Debug)]
pub struct Users {
    hashes: HashMap<String, String>,
    known: Mutex<HashSet<Fingerprint>>,
    checking: Semaphore,
}

impl Users {
    /// Users with their hashes; `None` if one is not of bcrypt.
    pub fn new(hashes: HashMap<String, String>) -> Option<Users> {
        let all_good = hashes.values().all(|hash| hash.parse::<HashParts>().is_ok());
        all_good.then(|| Users { hashes, known: Mutex::default(), checking: Semaphore::new(1) })
    }

    /// Whether `given`, which is `user:password`, is right.
    pub async fn accept(self: &Arc<Self>, given: &str) -> bool {
        let fingerprint = Fingerprint::of(given);
        if self.known().contains(&fingerprint) {
            return true;
        }
        let Some((user, password)) = given.split_once(':') else { return false };
        let hash = self.hashes.get(user);
        let exists = hash.is_some();
        let hash = hash.map_or(NOBODY, String::as_str).to_owned();
        let password = password.to_owned();
        let Ok(_turn) = self.checking.acquire().await else { return false };
        let check = move || bcrypt::verify(password, &hash).unwrap_or(false);
        let right = tokio::task::spawn_blocking(check).await.unwrap_or(false) && exists;
        if right {
            self.known().insert(fingerprint);
        }
        right
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<Fingerprint>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(hash: &str) -> Option<Arc<Users>> {
        let hashes = HashMap::from([("prometheus".to_owned(), hash.to_owned())]);
        Users::new(hashes).map(Arc::new)
    }

    #[tokio::test]
    async fn a_right_password_is_accepted_the_first_and_the_second_time() {
        let users = users(&bcrypt::hash("hunter2", 4).expect("a hash")).expect("a hash");
        for given in ["prometheus:hunter2", "prometheus:hunter2"] {
            assert!(users.accept(given).await);
        }
        for given in ["prometheus:hunter3", "nobody:hunter2", "prometheus", "", "nobody:"] {
            assert!(!users.accept(given).await, "{given}");
        }
        assert_eq!(users.known().len(), 1, "wrong ones are not remembered");
    }

    #[test]
    fn the_hash_of_nobody_is_one() {
        assert!(NOBODY.parse::<HashParts>().is_ok());
        assert!(users("plain text").is_none());
    }
}
