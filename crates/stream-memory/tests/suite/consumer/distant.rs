//! A store behind a network, on the paused clock: each call takes its time, and may panic.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use stream_core::{
    Capabilities, Cleared, DeadLetterStore, Delivery, Depth, Driver, Finding, NewJob, Pushed, QueueManager,
    QueueName, Reserve, Result, Settlement, Subscription, async_trait,
};
use stream_memory::MemoryDriver;
use tokio::time::sleep;

use super::World;

/// How long a call is on its way, unless set.
pub(super) const TRIP: Duration = Duration::from_millis(2);

#[derive(Debug, Clone)]
pub(super) struct Distant {
    inner: MemoryDriver,
    capabilities: Capabilities,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    longer_by_ms: AtomicU64,
    /// The size of each batch that was pushed.
    pushed: Mutex<Vec<usize>>,
    /// How often a verb is still to panic.
    panics: Mutex<BTreeMap<&'static str, usize>>,
    pushing: AtomicUsize,
    extended: AtomicUsize,
}

impl Distant {
    /// A world whose queue is on such a store.
    pub(super) fn world(change: impl FnOnce(&mut Capabilities)) -> (World, Self) {
        let mut world = World::new();
        let mut capabilities = world.driver.capabilities();
        change(&mut capabilities);
        let distant = Self { inner: world.driver.clone(), capabilities, state: Arc::default() };
        world.queue = QueueManager::new(distant.clone());
        (world, distant)
    }

    pub(super) fn farther_by(&self, time: Duration) {
        self.state.longer_by_ms.store(time.as_millis() as u64, Ordering::SeqCst);
    }

    pub(super) fn pushed(&self) -> Vec<usize> {
        self.state.pushed.lock().unwrap().clone()
    }

    /// How many calls to push are under way.
    pub(super) fn pushing(&self) -> usize {
        self.state.pushing.load(Ordering::SeqCst)
    }

    /// How many calls to extend there were.
    pub(super) fn extended(&self) -> usize {
        self.state.extended.load(Ordering::SeqCst)
    }

    pub(super) fn panic_at(&self, verb: &'static str, times: usize) {
        self.state.panics.lock().unwrap().insert(verb, times);
    }

    /// How often a verb has still to panic.
    pub(super) fn panics_left(&self, verb: &str) -> usize {
        self.state.panics.lock().unwrap().get(verb).copied().unwrap_or_default()
    }

    fn may_panic(&self, verb: &'static str) {
        let must_panic = match self.state.panics.lock().unwrap().get_mut(verb) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        };
        assert!(!must_panic, "a bug in the driver, at {verb}");
    }

    async fn trip(&self, verb: &'static str) {
        sleep(TRIP + Duration::from_millis(self.state.longer_by_ms.load(Ordering::SeqCst))).await;
        self.may_panic(verb);
    }
}

#[async_trait]
impl Driver for Distant {
    fn name(&self) -> &'static str {
        "distant"
    }
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }
    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        self.state.pushed.lock().unwrap().push(jobs.len());
        let _under_way = UnderWay::new(&self.state.pushing);
        self.trip("push").await;
        self.inner.push(queue, jobs).await
    }
    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        self.may_panic("subscribe");
        let inner = self.inner.subscribe(queues).await?;
        Ok(Box::new(DistantSubscription { inner, distant: self.clone() }))
    }
    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        self.trip("settle").await;
        self.inner.settle(queue, settlements).await
    }
    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        self.state.extended.fetch_add(1, Ordering::SeqCst);
        self.trip("extend").await;
        self.inner.extend(queue, deliveries, lease).await
    }
    fn is_current(&self, delivery: &Delivery) -> bool {
        self.may_panic("is_current");
        self.inner.is_current(delivery)
    }
    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        self.inner.depth(queue).await
    }
    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        self.inner.clear(queue).await
    }
    async fn check(&self) -> Result<Vec<Finding>> {
        self.inner.check().await
    }
    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        self.inner.dead_letters()
    }
}

struct DistantSubscription {
    inner: Box<dyn Subscription>,
    distant: Distant,
}

#[async_trait]
impl Subscription for DistantSubscription {
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>> {
        self.distant.may_panic("ready");
        self.inner.ready(wait).await
    }
    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>> {
        self.distant.trip("reserve").await;
        self.inner.reserve(queue, request).await
    }
    async fn close(self: Box<Self>) -> Result<()> {
        self.inner.close().await
    }
}

/// Counts calls, also those whose futures are dropped.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
