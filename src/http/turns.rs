//! Whose password is checked next, so that nobody who guesses keeps others waiting.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// How many may wait in one queue.
const MAX_WAITING: usize = 32;

/// The queues of those who wait. Each has one place in the queue of all, in which everyone gets a turn
/// after the other: whoever waits behind a thousand guesses of others is the second.
#[derive(Debug)]
pub struct Turns {
    queues: Mutex<HashMap<Key, Queue>>,
    checking: Semaphore,
}

/// Who waits in the same queue: those from one address who name the same user, or nobody that there is.
type Key = (IpAddr, Option<String>);

#[derive(Debug)]
struct Queue {
    waiting: usize,
    first: Arc<Semaphore>,
}

/// The turn of one, until it is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    _checking: SemaphorePermit<'a>,
    _place: Place<'a>,
}

/// A place in a queue.
#[derive(Debug)]
struct Place<'a> {
    turns: &'a Turns,
    key: Key,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { queues: Mutex::default(), checking: Semaphore::new(1) }
    }
}

impl Turns {
    /// Waits for the turn of one from `address` who names `user`, where there is such a user; `None` if too
    /// many wait there already.
    pub async fn wait(&self, address: IpAddr, user: Option<&str>) -> Option<Turn<'_>> {
        let key = (network(address), user.map(str::to_owned));
        let (place, first) = self.place(key)?;
        // Neither is ever closed.
        let _first = first.acquire().await.ok()?;
        let checking = self.checking.acquire().await.ok()?;
        Some(Turn { _checking: checking, _place: place })
    }

    fn place(&self, key: Key) -> Option<(Place<'_>, Arc<Semaphore>)> {
        let mut queues = self.queues();
        let queue = queues
            .entry(key.clone())
            .or_insert_with(|| Queue { waiting: 0, first: Arc::new(Semaphore::new(1)) });
        if queue.waiting >= MAX_WAITING {
            return None;
        }
        queue.waiting += 1;
        Some((Place { turns: self, key }, Arc::clone(&queue.first)))
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Key, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = self.turns.queues();
        if let Some(queue) = queues.get_mut(&self.key) {
            queue.waiting -= 1;
            if queue.waiting == 0 {
                queues.remove(&self.key);
            }
        }
    }
}

/// The address, of which whoever has one of IPv6 has all that begin with the same 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(bits).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[tokio::test]
    async fn whoever_guesses_keeps_only_those_beside_waiting() {
        let turns = Turns::default();
        let held = turns.wait(address(1), None).await.expect("a turn");
        let order = Mutex::new(Vec::new());
        let wait = async |from: IpAddr, user: Option<&'static str>| {
            let turn = turns.wait(from, user).await;
            let mut order = order.lock().expect("no panic");
            order.push((from, user, turn.is_some()));
        };
        // The first has its turn now, so that there is a place less.
        let guesses = join_all((1..=40).map(|_| wait(address(1), None)));
        let others = async {
            tokio::join!(wait(address(1), Some("alice")), wait(address(2), Some("alice")));
        };
        let release = async { drop(held) };
        tokio::join!(guesses, others, release);
        let order = order.into_inner().expect("no panic");
        let refused = order.iter().filter(|(_, _, turn)| !turn).count();
        assert_eq!(refused, 40 - (MAX_WAITING - 1));
        let checked: Vec<_> = order.iter().filter(|(_, _, turn)| *turn).collect();
        let place = |from, user| {
            checked.iter().position(|(a, u, _)| (*a, *u) == (from, user)).expect("a turn")
        };
        assert!(place(address(1), Some("alice")) <= 2, "{checked:?}");
        assert!(place(address(2), Some("alice")) <= 2, "{checked:?}");
        assert!(turns.queues().is_empty());
    }

    #[tokio::test]
    async fn whoever_goes_away_leaves_the_queue() {
        let turns = Turns::default();
        let held = turns.wait(address(1), None).await.expect("a turn");
        for _ in 0..100 {
            assert!(turns.wait(address(1), None).now_or_never().is_none(), "it waits");
        }
        drop(held);
        assert!(turns.queues().is_empty());
        assert!(turns.wait(address(1), None).now_or_never().flatten().is_some());
    }

    #[test]
    fn one_who_has_many_addresses_of_ipv6_has_one_queue() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), address(1));
    }
}
