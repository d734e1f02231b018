//! Deliveries that were ended in transactions of the program, until they are settled.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use crate::{locked::locked, row::Key};

/// More are forgotten, the oldest first: their settlements are then answered that the lease is lost.
const KEPT: usize = 65_536;

/// By what a dialect finds out whether a transaction was committed.
pub(crate) type Ticket = i64;

/// Which deliveries have ended if their transaction was committed.
#[derive(Debug, Default)]
pub(crate) struct Completions {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    tickets: HashMap<Key, Ticket>,
    /// Those that were forgotten since among them.
    oldest_first: VecDeque<Key>,
}

impl Completions {
    /// A later transaction of the same delivery takes the place of the earlier: that was rolled back.
    pub(crate) fn note(&self, key: Key, ticket: Ticket) {
        let mut known = locked(&self.known);
        if known.tickets.insert(key, ticket).is_none() {
            known.oldest_first.push_back(key);
        }
        while known
            .oldest_first
            .front()
            .is_some_and(|key| known.oldest_first.len() > KEPT || !known.tickets.contains_key(key))
        {
            if let Some(key) = known.oldest_first.pop_front() {
                known.tickets.remove(&key);
            }
        }
    }

    /// Of these deliveries those that were ended in a transaction, with its ticket.
    pub(crate) fn of(&self, keys: impl Iterator<Item = Key>) -> Vec<(Key, Ticket)> {
        let known = locked(&self.known);
        if known.tickets.is_empty() {
            return Vec::new();
        }
        keys.filter_map(|key| Some((key, *known.tickets.get(&key)?))).collect()
    }

    pub(crate) fn forget(&self, key: Key) {
        locked(&self.known).tickets.remove(&key);
    }
}
