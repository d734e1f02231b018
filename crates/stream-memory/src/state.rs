//! What the store holds: its queues, and how many jobs in all. Pure: time is an argument.

mod dead;
mod groups;
mod line;
mod listeners;
mod queue;
mod rate;
mod rows;
mod settle;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use stream_core::{Envelope, QueueName, Undecodable};
use tokio::time::Instant;

use crate::receipt::Token;

pub(crate) use listeners::Listeners;
pub(crate) use queue::{Queue, Readiness};
pub(crate) use settle::Change;

/// A job, or the bytes that could not be read as one.
type Body = Result<Envelope, Undecodable>;

/// Every queue of the store.
pub(crate) struct Store {
    number: u64,
    names: HashMap<QueueName, usize>,
    queues: Vec<Queue>,
    capacity: usize,
    /// Jobs in all queues, so that the capacity is known without asking each of them.
    stored: usize,
}

impl Store {
    pub(crate) fn new(capacity: Option<usize>) -> Self {
        Self {
            // The keys of a `RandomState` are random, and so is what it makes of any value.
            number: RandomState::new().hash_one(0),
            names: HashMap::new(),
            queues: Vec::new(),
            capacity: capacity.unwrap_or(usize::MAX),
            stored: 0,
        }
    }

    /// The queue with this name; it is made if it is not there.
    pub(crate) fn open(&mut self, name: &QueueName) -> &mut Queue {
        let number = match self.names.get(name) {
            Some(number) => *number,
            None => self.make(name),
        };
        &mut self.queues[number]
    }

    fn make(&mut self, name: &QueueName) -> usize {
        let number = self.queues.len();
        self.queues.push(Queue::new(self.number, number));
        self.names.insert(name.clone(), number);
        number
    }

    /// The queue with this name, if it was ever used.
    pub(crate) fn find(&self, name: &QueueName) -> Option<&Queue> {
        self.names.get(name).map(|number| &self.queues[*number])
    }

    /// Lets `change` work on a queue, given how many more jobs the store can hold.
    pub(crate) fn change<T>(&mut self, name: &QueueName, change: impl FnOnce(&mut Queue, usize) -> T) -> T {
        let room = self.capacity.saturating_sub(self.stored);
        let queue = self.open(name);
        let before = queue.len();
        let answer = change(queue, room);
        let after = queue.len();
        self.stored = self.stored - before + after;
        answer
    }

    /// Whether the delivery of this token was neither settled nor taken over.
    pub(crate) fn is_current(&self, token: Token) -> bool {
        self.queues.get(token.queue).is_some_and(|queue| queue.is_current(token))
    }

    /// How many jobs there are in all.
    pub(crate) fn stored(&self) -> usize {
        self.stored
    }

    /// Everybody who waits, at any queue.
    pub(crate) fn listeners(&self) -> Vec<Listeners> {
        self.queues.iter().map(|queue| queue.listeners.clone()).collect()
    }
}

/// `now + span`, or about a century where that is beyond what the clock can say.
///
/// The sum of an `Instant` and any `Duration` may panic, and nothing may panic under the lock.
pub(crate) fn later(now: Instant, span: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);
    now.checked_add(span.min(CENTURY)).unwrap_or(now)
}
