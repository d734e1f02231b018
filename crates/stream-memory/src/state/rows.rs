//! The jobs of a queue, each in a row of its own.

use stream_core::{Delivery, JobId, Priority};
use tokio::time::Instant;

use super::Body;
use crate::receipt::Token;

/// The number of a row; given again after the row was removed.
pub(super) type Slot = usize;

/// A job and what became of it so far.
#[derive(Debug)]
pub(crate) struct Row {
    pub(super) body: Body,
    pub(super) attempt: u32,
    pub(super) lost: u32,
    pub(super) last_error: Option<String>,
    /// Its place in the line of its priority, once it came to the front.
    pub(super) place: u64,
    pub(super) state: State,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// In a line, or parked behind its group.
    Waiting,
    /// On loan, or its lease ended and nobody took it yet.
    Leased { delivery: u64, ends: Instant },
    /// A dead letter.
    Dead,
}

impl Row {
    pub(super) fn new(body: Body) -> Self {
        Self { body, attempt: 1, lost: 0, last_error: None, place: 0, state: State::Waiting }
    }

    pub(super) fn id(&self) -> Option<JobId> {
        match &self.body {
            Ok(envelope) => Some(envelope.id),
            Err(undecodable) => undecodable.id,
        }
    }

    pub(super) fn level(&self) -> usize {
        self.body.as_ref().map_or(Priority::Default, |envelope| envelope.priority).level().into()
    }

    pub(super) fn group(&self) -> Option<&str> {
        self.body.as_ref().ok()?.group.as_deref()
    }

    pub(super) fn unique_key(&self) -> Option<&str> {
        self.body.as_ref().ok()?.unique_key.as_deref()
    }

    pub(super) fn to_delivery(&self, token: Token) -> Delivery {
        let mut delivery = Delivery::new(self.body.clone(), token.to_receipt());
        delivery.attempt = self.attempt;
        delivery.lost = self.lost;
        delivery.last_error.clone_from(&self.last_error);
        delivery
    }
}

/// Rows that were taken out, to be dropped after the lock was given back: a million of them takes long.
pub(crate) type Removed = Vec<Box<Row>>;

/// Rows by their number.
///
/// Boxed, so that a growing backlog moves pointers and not jobs while everybody waits for the lock.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: Vec<Option<Box<Row>>>,
    free: Vec<Slot>,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, row: Row) -> Slot {
        let row = Some(Box::new(row));
        if let Some(slot) = self.free.pop() {
            self.rows[slot] = row;
            return slot;
        }
        self.rows.push(row);
        self.rows.len() - 1
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Row> {
        self.rows.get(slot)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Row> {
        self.rows.get_mut(slot)?.as_deref_mut()
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Box<Row>> {
        let row = self.rows.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(row)
    }
}
