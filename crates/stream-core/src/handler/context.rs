//! What a running job knows of itself.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Delivery, Envelope, IntoDraft, JobId, Push, QueueManager, QueueName, Receipt};

/// What a running job knows of itself; cheap to clone.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    manager: QueueManager,
    queue: QueueName,
    /// Decodable: there are contexts for no others.
    delivery: Arc<Delivery>,
    stop: CancellationToken,
    /// The delivery is over at the store.
    /// Plain parts: a token would allocate for each job.
    is_lost: AtomicBool,
    lost: Notify,
}

impl Context {
    pub(crate) fn new(
        manager: QueueManager,
        queue: QueueName,
        delivery: Arc<Delivery>,
        stop: CancellationToken,
    ) -> Self {
        let (is_lost, lost) = (AtomicBool::new(false), Notify::new());
        Self { inner: Arc::new(Inner { manager, queue, delivery, stop, is_lost, lost }) }
    }

    /// A context for unit tests: first attempt, not cancelled.
    ///
    /// # Panics
    /// If the job cannot be pushed.
    pub fn for_test(queue: &QueueManager, job: impl IntoDraft) -> Self {
        let prepared = job.into_draft().prepare(&queue.capabilities());
        let (name, job) = prepared.expect("a job that can be pushed");
        let delivery = Arc::new(Delivery::new(Ok(job.envelope), Receipt::new([])));
        Self::new(queue.clone(), name, delivery, CancellationToken::new())
    }

    /// The same in another attempt, for unit tests.
    #[must_use]
    pub fn with_attempt(self, attempt: u32) -> Self {
        let Inner { manager, queue, delivery, stop, .. } = &*self.inner;
        let delivery = Arc::new(Delivery { attempt, ..(**delivery).clone() });
        Self::new(manager.clone(), queue.clone(), delivery, stop.clone())
    }

    /// The same with its shutdown begun, for unit tests.
    #[must_use]
    pub fn with_cancellation(self) -> Self {
        self.inner.stop.cancel();
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
        &self.inner.queue
    }

    /// The job as it is stored.
    pub fn envelope(&self) -> &Envelope {
        self.inner.delivery.envelope.as_ref().expect("only decodable jobs are run")
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.inner.delivery.attempt
    }

    /// Whether a failure of this attempt buries the job.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.envelope().max_attempts
    }

    /// The error of the attempt before, where the store keeps it.
    pub fn last_error(&self) -> Option<&str> {
        self.inner.delivery.last_error.as_deref()
    }

    /// Pushes a follow-up job over the same connection.
    pub fn push(&self, job: impl IntoDraft) -> Push {
        self.inner.manager.push(job)
    }

    /// Whether the job should come to an end: shutdown began, or the lease is lost.
    pub fn is_cancelled(&self) -> bool {
        self.is_lost() || self.inner.stop.is_cancelled()
    }

    /// Waits until the job should come to an end.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn cancelled(&self) {
        // Listens before it looks, so that a loss in between is not missed.
        let lost = self.inner.lost.notified();
        if !self.is_lost() {
            self.inner.stop.run_until_cancelled(lost).await;
        }
    }

    pub(crate) fn delivery(&self) -> &Arc<Delivery> {
        &self.inner.delivery
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.inner.is_lost.load(Ordering::Acquire)
    }

    pub(crate) fn lose(&self) {
        self.inner.is_lost.store(true, Ordering::Release);
        self.inner.lost.notify_waiters();
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({}, {} on {}, attempt {})", self.id(), self.name(), self.queue(), self.attempt())
    }
}
