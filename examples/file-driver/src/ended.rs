//! Which deliveries are known to be over.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard},
};

use crate::entry::Ticket;

/// More are forgotten, the oldest first: the files know anyway.
const KEPT: usize = 10_000;

/// Deliveries that this connection knows to be over.
#[derive(Default)]
pub(crate) struct Ended(Mutex<Known>);

#[derive(Default)]
struct Known {
    tickets: HashSet<Ticket>,
    oldest_first: VecDeque<Ticket>,
}

impl Ended {
    pub(crate) fn note(&self, ticket: Ticket) {
        let mut known = self.lock();
        if known.tickets.insert(ticket) {
            known.oldest_first.push_back(ticket);
        }
        if known.oldest_first.len() > KEPT
            && let Some(oldest) = known.oldest_first.pop_front()
        {
            known.tickets.remove(&oldest);
        }
    }

    pub(crate) fn has(&self, ticket: Ticket) -> bool {
        self.lock().tickets.contains(&ticket)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("nothing panics under the lock")
    }
}
