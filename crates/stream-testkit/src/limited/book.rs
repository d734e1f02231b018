//! What all connections of a limited store know together: what was lent, and what is a copy of what.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use stream_core::{Delivery, Depth, Envelope, JobId, QueueName, Receipt, Undecodable};
use tokio::time::Instant;

/// The book of one store. It remembers every delivery, as long as the test runs.
#[derive(Default)]
pub(super) struct Book {
    // Held for a few instructions, never across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: u64,
    lent: HashMap<(QueueName, Receipt), Lent>,
    /// The latest delivery of each job.
    latest: HashMap<(QueueName, JobId), Receipt>,
    /// Copies below have ids of their own, since the driver below stores no id twice.
    originals: HashMap<JobId, JobId>,
    depths: HashMap<QueueName, Depth>,
}

/// A delivery as the driver below knows it.
#[derive(Debug, Clone)]
pub(super) struct Lent {
    pub(super) delivery: Delivery,
    /// The connection that took it.
    pub(super) connection: u64,
    pub(super) taken: Instant,
    pub(super) ends: Instant,
    /// It was settled, or that was refused.
    pub(super) is_over: bool,
}

impl Book {
    /// The number of a new connection.
    pub(super) fn connect(&self) -> u64 {
        let mut state = self.lock();
        state.connections += 1;
        state.connections
    }

    pub(super) fn lend(&self, queue: &QueueName, delivery: &Delivery, connection: u64, ends: Instant) {
        let mut state = self.lock();
        let lent =
            Lent { delivery: delivery.clone(), connection, taken: Instant::now(), ends, is_over: false };
        if let Some(id) = delivery.id() {
            state.latest.insert((queue.clone(), id), delivery.receipt.clone());
        }
        state.lent.insert((queue.clone(), delivery.receipt.clone()), lent);
    }

    pub(super) fn find(&self, queue: &QueueName, receipt: &Receipt) -> Option<Lent> {
        self.lock().lent.get(&(queue.clone(), receipt.clone())).cloned()
    }

    /// What a connection holds, and where.
    pub(super) fn held_by(&self, connection: u64) -> Vec<(QueueName, Delivery)> {
        let state = self.lock();
        let held = state.lent.iter().filter(|(_, lent)| lent.connection == connection && !lent.is_over);
        held.map(|((queue, _), lent)| (queue.clone(), lent.delivery.clone())).collect()
    }

    /// The job's delivery that is the current one, if it is another and not over.
    pub(super) fn successor(&self, queue: &QueueName, lent: &Lent) -> Option<Lent> {
        let state = self.lock();
        let receipt = state.latest.get(&(queue.clone(), lent.delivery.id()?))?;
        let latest = state.lent.get(&(queue.clone(), receipt.clone()))?;
        (*receipt != lent.delivery.receipt && !latest.is_over).then(|| latest.clone())
    }

    pub(super) fn end(&self, queue: &QueueName, receipt: &Receipt) {
        if let Some(lent) = self.lock().lent.get_mut(&(queue.clone(), receipt.clone())) {
            lent.is_over = true;
        }
    }

    /// As `end`, for a delivery that this connection took.
    pub(super) fn end_if_of(&self, queue: &QueueName, receipt: &Receipt, connection: u64) {
        let mut state = self.lock();
        let lent = state.lent.get_mut(&(queue.clone(), receipt.clone()));
        if let Some(lent) = lent.filter(|lent| lent.connection == connection) {
            lent.is_over = true;
        }
    }

    pub(super) fn extend(&self, queue: &QueueName, receipt: &Receipt, lease: Duration) {
        if let Some(lent) = self.lock().lent.get_mut(&(queue.clone(), receipt.clone())) {
            lent.ends = later(lease);
        }
    }

    /// Whether a receipt is of a delivery that is not over, in whichever queue.
    pub(super) fn knows(&self, receipt: &Receipt, is_good: impl Fn(&Lent) -> bool) -> bool {
        let state = self.lock();
        state.lent.iter().any(|((_, other), lent)| other == receipt && !lent.is_over && is_good(lent))
    }

    /// Notes that a job below is a copy of one that has its id.
    pub(super) fn note_copy(&self, copy: JobId, original: JobId) {
        self.lock().originals.insert(copy, original);
    }

    /// The envelope as it was pushed.
    pub(super) fn restore(&self, envelope: &mut Result<Envelope, Undecodable>) {
        if let Ok(envelope) = envelope
            && let Some(original) = self.lock().originals.get(&envelope.id)
        {
            envelope.id = *original;
        }
    }

    /// An estimate: what was true when it was asked for last.
    pub(super) fn late_depth(&self, queue: &QueueName, now: Depth) -> Depth {
        self.lock().depths.insert(queue.clone(), now).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under the lock")
    }
}

/// `span` from now, or about a century where that is beyond what the clock can say.
pub(super) fn later(span: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);
    Instant::now() + span.min(CENTURY)
}
