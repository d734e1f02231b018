//! What a running job knows of itself.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::*;

/// What a running job knows of itself; cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    home: Arc<Home>,
    /// Decodable.
    delivery: Arc<Delivery>,
    /// Under which it goes on, if we took the job again after its lease.
    renewed: Mutex<Option<Arc<Delivery>>>,
    /// The answer to a settlement was lost.
    is_unknown: AtomicBool,
    /// The delivery is over at the store.
    /// Plain parts: a token would allocate for each job.
    is_lost: AtomicBool,
    lost: Notify,
}

/// What all jobs of a queue in one consumer share.
pub(crate) struct Home {
    pub(crate) manager: QueueManager,
    pub(crate) queue: QueueName,
    pub(crate) stop: CancellationToken,
}

pub(crate) const UNPOISONED: &str = "no user code runs under the lock";

impl Context {
    pub(crate) fn new(home: Arc<Home>, delivery: Arc<Delivery>) -> Self {
        let (renewed, is_unknown, is_lost, lost) = Default::default();
        Self(Arc::new(Inner { home, delivery, renewed, is_unknown, is_lost, lost }))
    }

    /// For unit tests: a first attempt, not cancelled.
    ///
    /// # Panics
    /// If the job cannot be pushed.
    pub fn for_test(queue: &QueueManager, job: impl IntoDraft) -> Self {
        let prepared = job.into_draft().prepare(&queue.capabilities());
        let (name, job) = prepared.expect("a job that can be pushed");
        let delivery = Arc::new(Delivery::new(Ok(job.envelope), Receipt::new([])));
        let home = Home { manager: queue.clone(), queue: name, stop: CancellationToken::new() };
        Self::new(Arc::new(home), delivery)
    }

    /// For unit tests: another attempt.
    #[must_use]
    pub fn with_attempt(self, attempt: u32) -> Self {
        let delivery = Arc::new(Delivery { attempt, ..(*self.0.delivery).clone() });
        Self::new(self.0.home.clone(), delivery)
    }

    /// For unit tests: shutdown began.
    #[must_use]
    pub fn with_cancellation(self) -> Self {
        self.0.home.stop.cancel();
        self
    }

    /// The job's id.
    pub fn id(&self) -> JobId {
        self.envelope().id
    }

    /// The job's name.
    pub fn name(&self) -> &str {
        &self.envelope().name
    }

    /// The queue that the job was taken from.
    pub fn queue(&self) -> &QueueName {
        &self.0.home.queue
    }

    /// The job as it is stored.
    pub fn envelope(&self) -> &Envelope {
        self.0.delivery.envelope.as_ref().expect("only decodable jobs are run")
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.0.delivery.attempt
    }

    /// Whether a failure of this attempt buries the job.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.envelope().max_attempts
    }

    /// The error of the attempt before, where the store keeps it.
    pub fn last_error(&self) -> Option<&str> {
        self.0.delivery.last_error.as_deref()
    }

    /// The current delivery, for a driver's own verbs.
    pub fn delivery(&self) -> Arc<Delivery> {
        self.0.renewed.lock().expect(UNPOISONED).as_ref().unwrap_or(&self.0.delivery).clone()
    }

    /// Pushes a job over the same connection.
    pub fn push(&self, job: impl IntoDraft) -> Push {
        self.0.home.manager.push(job)
    }

    /// Whether the job should end: shutdown began, or the lease is lost.
    pub fn is_cancelled(&self) -> bool {
        self.is_lost() || self.0.home.stop.is_cancelled()
    }

    /// Waits until the job should end.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn cancelled(&self) {
        // Listens before it looks: no loss in between is missed.
        let lost = self.0.lost.notified();
        if !self.is_lost() {
            self.0.home.stop.run_until_cancelled(lost).await;
        }
    }

    pub(crate) fn first_delivery(&self) -> &Arc<Delivery> {
        &self.0.delivery
    }

    /// Goes on under a new delivery of the same job; says whether it can.
    ///
    /// After a lost answer the old outcome may have counted, unless `lost` has risen in the same attempt.
    pub(crate) fn renew(&self, new: &Arc<Delivery>) -> bool {
        let old = self.delivery();
        let is_same = !self.is_unknown() || (new.attempt == old.attempt && new.lost > old.lost);
        let is_renewed = is_same && !self.is_lost();
        if is_renewed {
            *self.0.renewed.lock().expect(UNPOISONED) = Some(new.clone());
        }
        is_renewed
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.0.is_unknown.load(Ordering::Acquire)
    }

    pub(crate) fn answer_is_lost(&self) {
        self.0.is_unknown.store(true, Ordering::Release);
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.0.is_lost.load(Ordering::Acquire)
    }

    pub(crate) fn lose(&self) {
        self.0.is_lost.store(true, Ordering::Release);
        self.0.lost.notify_waiters();
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({}, {} on {}, attempt {})", self.id(), self.name(), self.queue(), self.attempt())
    }
}
