//! People and programs with a password of their own, kept as bcrypt hashes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bcrypt::HashParts;

use crate::engine::fingerprint::Fingerprint;
use crate::http::turns::Turns;

/// A hash that no password has, so that a user who does not exist takes as long as one who does.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuu5lYxxfzK1yzdN2RV6cVzvQP1bYmjW3K";

/// The costs of bcrypt with which an answer comes in time; each step takes twice as long.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// How long the answer to a wrong password is held back. Otherwise a client that guesses takes the place in
/// the queue that its last guess has left, before anybody else can.
const HOLD_BACK: Duration = Duration::from_secs(2);

/// Users by name with their bcrypt hashes.
///
/// bcrypt is slow on purpose. Passwords that were right are remembered by their fingerprints, so that
/// a scrape costs nothing. Others are checked one at a time, in turns between addresses and users, so that
/// guessing holds up nobody else.
#[derive(Debug)]
pub struct Users {
    hashes: HashMap<String, String>,
    /// Whose password has which fingerprint.
    known: Mutex<HashMap<Fingerprint, String>>,
    turns: Turns,
}

/// What came of checking a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is right.
    Right,
    /// It is wrong, or there is no such user.
    Wrong,
    /// Too many from the same address wait for theirs to be checked.
    TooMany,
}

impl Users {
    /// What [`Users::new`] accepts.
    pub const ACCEPTED: &'static str = "bcrypt hashes of cost 4 to 16 as passwords";

    /// Users with their hashes; `None` if one is not of bcrypt, or of a cost with which nobody could log in.
    pub fn new(hashes: HashMap<String, String>) -> Option<Users> {
        let is_good = |hash: &String| {
            hash.parse::<HashParts>().is_ok_and(|parts| COSTS.contains(&parts.get_cost()))
        };
        let all_good = hashes.values().all(is_good);
        all_good.then(|| Users { hashes, known: Mutex::default(), turns: Turns::default() })
    }

    /// Remembers what `before` knew of the users whose hashes have not changed.
    pub fn remember(&self, before: &Users) {
        let is_same = |user: &String| self.hashes.get(user) == before.hashes.get(user);
        let known = before.known().clone();
        self.known().extend(known.into_iter().filter(|(_, user)| is_same(user)));
    }

    /// Whether `given`, which is `user:password` and comes from `address`, is right.
    pub async fn check(self: &Arc<Self>, address: IpAddr, given: &str) -> Checked {
        let fingerprint = Fingerprint::of(given);
        if self.known().contains_key(&fingerprint) {
            return Checked::Right;
        }
        let Some((user, password)) = given.split_once(':') else { return Checked::Wrong };
        let hash = self.hashes.get(user);
        let exists = hash.is_some();
        let hash = hash.map_or(NOBODY, String::as_str).to_owned();
        let password = password.to_owned();
        let checked = match self.turns.wait(address, exists.then_some(user)).await {
            None => Checked::TooMany,
            Some(_turn) => {
                let check = move || bcrypt::verify(password, &hash).unwrap_or(false);
                let is_right = tokio::task::spawn_blocking(check).await.unwrap_or(false);
                if is_right && exists { Checked::Right } else { Checked::Wrong }
            }
        };
        match checked {
            Checked::Right => {
                self.known().insert(fingerprint, user.to_owned());
            }
            Checked::Wrong | Checked::TooMany => tokio::time::sleep(HOLD_BACK).await,
        }
        checked
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Fingerprint, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn users(of: &[(&str, &str)]) -> Option<Arc<Users>> {
        let hashes = of.iter().map(|(user, hash)| ((*user).to_owned(), (*hash).to_owned()));
        Users::new(hashes.collect()).map(Arc::new)
    }

    fn hash(password: &str) -> String {
        bcrypt::hash(password, 4).expect("a hash")
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_password_is_accepted_the_first_and_the_second_time() {
        let users = users(&[("prometheus", &hash("hunter2"))]).expect("a hash");
        for given in ["prometheus:hunter2", "prometheus:hunter2"] {
            assert_eq!(users.check(HERE, given).await, Checked::Right);
        }
        for given in ["prometheus:hunter3", "nobody:hunter2", "prometheus", "", "nobody:"] {
            assert_eq!(users.check(HERE, given).await, Checked::Wrong, "{given}");
        }
        assert_eq!(users.known().len(), 1, "wrong ones are not remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_right_is_remembered_until_that_user_changes() {
        let (alice, bob) = (hash("hunter2"), hash("hunter3"));
        let before = users(&[("alice", &alice), ("bob", &bob)]).expect("hashes");
        for given in ["alice:hunter2", "bob:hunter3"] {
            assert_eq!(before.check(HERE, given).await, Checked::Right);
        }
        let after = users(&[("alice", &alice), ("bob", &hash("another"))]).expect("hashes");
        after.remember(&before);
        let known: Vec<String> = after.known().values().cloned().collect();
        assert_eq!(known, ["alice"]);
        assert_eq!(after.check(HERE, "bob:hunter3").await, Checked::Wrong);
        let without = users(&[("bob", &bob)]).expect("a hash");
        without.remember(&before);
        assert_eq!(without.check(HERE, "alice:hunter2").await, Checked::Wrong);
    }

    #[test]
    fn the_hash_of_nobody_is_one() {
        assert!(NOBODY.parse::<HashParts>().is_ok());
    }

    #[test]
    fn hashes_with_which_nobody_could_log_in_are_refused() {
        let good = hash("hunter2");
        for bad in ["plain text", &good.replace("$04$", "$03$"), &good.replace("$04$", "$17$")] {
            assert!(users(&[("alice", bad)]).is_none(), "{bad}");
        }
        assert!(users(&[("alice", &good.replace("$04$", "$16$"))]).is_some());
    }
}
