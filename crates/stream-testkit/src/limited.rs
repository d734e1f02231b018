//! A driver around a driver that promises less, and keeps no more than it promises.

mod book;
mod connection;
mod letters;
mod limits;
mod subscription;

use std::{fmt, sync::Arc, time::Duration};

use stream_core::{
    Capabilities, Cleared, DeadLetterStore, Delivery, Depth, Driver, Finding, Listing, NewJob, Precision,
    Pushed, QueueName, Reserve, Result, Settlement, Subscription, async_trait,
};

use book::Book;
use connection::Connection;
use letters::LimitedLetters;
pub use limits::Limits;
use subscription::LimitedSubscription;

/// A driver around a driver that promises less, and keeps no more than it promises.
///
/// The suite asks each capability for a *yes* and a *no*. A driver that keeps everything never shows the
/// second half: whether a case holds on a store that counts deliveries, binds them to a connection or
/// shows a sample of its dead letters. This one really does so. A repeated push is stored twice, waits
/// are rounded up, more urgent jobs come in any order, a depth is what was true before, a delivery is
/// over with its connection, and what was fetched ahead is hidden from others for a while.
///
/// The driver below must keep whatever the limits promise.
///
/// ```
/// # use std::sync::Arc;
/// # use stream_core::{Driver, QueueManager};
/// use stream_testkit::limited::{Limited, Limits};
///
/// # fn example(driver: Arc<dyn Driver>, other: Arc<dyn Driver>) {
/// let here = Limited::new(driver, Limits::like_rabbitmq());
/// // Another connection to the same store:
/// let there = here.another(other);
/// let queue = QueueManager::new(here);
/// # drop((queue, there));
/// # }
/// ```
pub struct Limited {
    connection: Arc<Connection>,
    letters: LimitedLetters,
}

impl Limited {
    /// Wraps the first connection to a store.
    pub fn new(driver: Arc<dyn Driver>, limits: Limits) -> Self {
        Self::of(driver, limits, Arc::default())
    }

    /// Wraps another connection to the same store: what one has lent, the other knows.
    #[must_use]
    pub fn another(&self, driver: Arc<dyn Driver>) -> Self {
        Self::of(driver, self.connection.limits.clone(), self.connection.book.clone())
    }

    fn of(driver: Arc<dyn Driver>, limits: Limits, book: Arc<Book>) -> Self {
        let number = book.connect();
        let connection = Arc::new(Connection { driver, limits, book, number, is_closed: false.into() });
        Self { letters: LimitedLetters::new(connection.clone()), connection }
    }
}

impl fmt::Debug for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Connection { driver, limits, .. } = &*self.connection;
        f.debug_struct("Limited").field("driver", driver).field("limits", limits).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Driver for Limited {
    fn name(&self) -> &'static str {
        self.connection.driver.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.connection.limits.capabilities.clone()
    }

    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(self.connection.push(queue, job).await);
        }
        answers
    }

    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        let inner = self.connection.driver.subscribe(queues).await?;
        Ok(Box::new(LimitedSubscription::new(self.connection.clone(), inner, queues)))
    }

    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        let mut answers = Vec::with_capacity(settlements.len());
        for Settlement { delivery, outcome, .. } in settlements {
            answers.push(self.connection.settle(queue, delivery, outcome).await);
        }
        answers
    }

    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        let mut answers = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            answers.push(self.connection.extend(queue, delivery, lease).await);
        }
        answers
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        self.connection.is_current(delivery)
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        let depth = self.connection.driver.depth(queue).await?;
        Ok(match self.connection.limits.capabilities.depth {
            Precision::Exact => depth,
            Precision::ReadyOnly => Depth::new(self.connection.book.late_depth(queue, depth).ready, 0, 0),
            _ => self.connection.book.late_depth(queue, depth),
        })
    }

    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        if self.connection.limits.capabilities.clear_delayed.is_yes() {
            return self.connection.driver.clear(queue).await;
        }
        // A broker empties what is in the queue; what waits for its time is not in it yet.
        let queues = std::slice::from_ref(queue);
        let subscription = self.connection.driver.subscribe(queues).await?;
        let mut removed = 0;
        loop {
            let ready = subscription.reserve(queue, Reserve::new(100)).await?;
            if ready.is_empty() {
                subscription.close().await?;
                return Ok(Cleared::ready_only(Some(removed)));
            }
            let done = ready.iter().map(|delivery| Settlement::new(delivery, &stream_core::Outcome::Done));
            let settled = self.connection.driver.settle(queue, &done.collect::<Vec<_>>()).await;
            removed += settled.iter().filter(|answer| answer.is_ok()).count() as u64;
        }
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.connection.driver.check().await
    }

    async fn close(&self) -> Result<()> {
        self.connection.close().await
    }

    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        let can_be_read = self.connection.limits.capabilities.dead_letters != Listing::None;
        let has_letters = self.connection.driver.dead_letters().is_some();
        (can_be_read && has_letters).then_some(&self.letters)
    }
}
