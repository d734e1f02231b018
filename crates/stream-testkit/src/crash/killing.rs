//! A driver around a driver in whose process death waits at one named point.

use std::{
    process::{self, Command},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use stream_core::{
    Capabilities, Cleared, DeadLetterStore, Delivery, Depth, Driver, Finding, NewJob, Pushed, QueueName,
    Reserve, Result, Settlement, Subscription, async_trait,
};

use super::KillPoint;

/// A driver that kills its own process with SIGKILL at the k-th pass of a [`KillPoint`].
///
/// Only passes that carry something count: a reserve that took nothing has no "after".
#[derive(Debug)]
pub struct Killing {
    driver: Arc<dyn Driver>,
    trap: Arc<Trap>,
}

#[derive(Debug)]
struct Trap {
    point: KillPoint,
    pass: u32,
    passed: AtomicU32,
}

impl Killing {
    /// Wraps a driver; `pass` counts from 1.
    pub fn new(driver: Arc<dyn Driver>, point: KillPoint, pass: u32) -> Self {
        Self { driver, trap: Arc::new(Trap { point, pass, passed: AtomicU32::new(0) }) }
    }
}

impl Trap {
    /// Dies here if it is the time; `items` are what the call carries.
    fn pass(&self, point: KillPoint, items: usize) {
        if point != self.point || items == 0 {
            return;
        }
        if self.passed.fetch_add(1, Ordering::Relaxed) + 1 == self.pass {
            die();
        }
    }
}

/// SIGKILL to this process: no destructor runs, no buffer is flushed, no connection says goodbye.
pub(super) fn die() -> ! {
    // The shell's own `kill`: it needs no unsafe code here and no program to be installed.
    let status = Command::new("sh").args(["-c", "kill -9 \"$0\"", &process::id().to_string()]).status();
    // Still alive: the test sees that this is not the end it asked for.
    eprintln!("the process could not kill itself: {status:?}");
    process::abort()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Driver for Killing {
    fn name(&self) -> &'static str {
        self.driver.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        self.trap.pass(KillPoint::BeforePush, jobs.len());
        let answers = self.driver.push(queue, jobs).await;
        self.trap.pass(KillPoint::AfterPush, jobs.len());
        answers
    }

    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        let inner = self.driver.subscribe(queues).await?;
        Ok(Box::new(KillingSubscription { inner, trap: self.trap.clone() }))
    }

    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        self.trap.pass(KillPoint::BeforeSettle, settlements.len());
        let answers = self.driver.settle(queue, settlements).await;
        self.trap.pass(KillPoint::AfterSettle, settlements.len());
        answers
    }

    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        self.trap.pass(KillPoint::BeforeExtend, deliveries.len());
        let answers = self.driver.extend(queue, deliveries, lease).await;
        self.trap.pass(KillPoint::AfterExtend, deliveries.len());
        answers
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        self.driver.is_current(delivery)
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        self.driver.depth(queue).await
    }

    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        self.driver.clear(queue).await
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.driver.check().await
    }

    async fn close(&self) -> Result<()> {
        self.driver.close().await
    }

    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        self.driver.dead_letters()
    }
}

struct KillingSubscription {
    inner: Box<dyn Subscription>,
    trap: Arc<Trap>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Subscription for KillingSubscription {
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>> {
        self.inner.ready(wait).await
    }

    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>> {
        self.trap.pass(KillPoint::BeforeReserve, request.max_jobs);
        let taken = self.inner.reserve(queue, request).await?;
        self.trap.pass(KillPoint::AfterReserve, taken.len());
        Ok(taken)
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.inner.close().await
    }
}
