//! The options of a consumer, and its start.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::*;

/// It is extended every third of it.
const LEASE_MIN: Duration = Duration::from_millis(10);

/// The options of a consumer; its start reports mistakes.
#[must_use = "it works nothing before its start"]
#[derive(Clone)]
pub struct ConsumerBuilder {
    manager: QueueManager,
    handlers: Handlers,
    queues: Option<Vec<String>>,
    rate_limits: BTreeMap<String, RateLimit>,
    weights: BTreeMap<String, u32>,
    settings: Settings,
    listeners: Vec<Listener>,
}

impl ConsumerBuilder {
    pub(super) fn new(manager: QueueManager, handlers: Handlers) -> Self {
        let settings = Settings {
            workers: 10,
            lease: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            max_lost: None,
            buries_unhandled: false,
            is_strict: false,
        };
        let (queues, rate_limits, weights, listeners) = Default::default();
        Self { manager, handlers, queues, rate_limits, weights, settings, listeners }
    }

    /// The queues to work, up to 10,000; those of the registered jobs unless set.
    pub fn queues<Q: AsRef<str>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.queues = Some(queues.into_iter().map(|queue| queue.as_ref().to_owned()).collect());
        self
    }

    /// How many jobs run at a time, from 1 to 100,000; 10 unless set.
    pub fn workers(mut self, slots: usize) -> Self {
        self.settings.workers = slots;
        self
    }

    /// At most this many starts by all processes that set it for the queue.
    pub fn rate_limit(mut self, queue: &str, limit: RateLimit) -> Self {
        self.rate_limits.insert(queue.to_owned(), limit);
        self
    }

    /// The share of a queue beside the others, from 1 to 1,000,000; 1 unless set.
    pub fn weight(mut self, queue: &str, weight: u32) -> Self {
        self.weights.insert(queue.to_owned(), weight);
        self
    }

    /// Works a queue only while those before it are empty; news of them may take 50 ms.
    pub fn strict_order(mut self) -> Self {
        self.settings.is_strict = true;
        self
    }

    /// How long each job is leased, at least 10 ms; 30 seconds unless set.
    ///
    /// It is extended every third of it; after a crash another consumer takes over within two leases.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long jobs may go on after a shutdown began; 30 seconds unless set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How many times a job may be lost; 5, or 20 where unstarted deliveries count.
    pub fn max_lost(mut self, times: u32) -> Self {
        self.settings.max_lost = Some(times);
        self
    }

    /// Buries jobs without a handler, instead of a retry in a minute or later.
    pub fn bury_unhandled(mut self) -> Self {
        self.settings.buries_unhandled = true;
        self
    }

    /// Adds a listener, called in place: be quick.
    pub fn on_event(mut self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Works in the background; the store may come later.
    ///
    /// # Errors
    /// `Config` for a bad option; `Unsupported` for what the connection does not promise.
    pub async fn start(self) -> Result<Consumer> {
        let shared = self.build()?;
        let subscription = match shared.subscribe().await {
            Ok(subscription) => Some(subscription),
            Err(error) if error.is_transient() => None,
            Err(error) => return Err(error),
        };
        Ok(spawn(shared, Until::Stopped, subscription))
    }

    /// Works until `signal` resolves, then shuts down.
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`Consumer::shutdown`].
    pub async fn run_until(self, signal: impl Future<Output = ()> + Send) -> Result<Stopped> {
        let consumer = self.start().await?;
        signal.await;
        consumer.shutdown().await
    }

    /// Works until nothing is ready or runs; what a delay or a rate limit holds stays.
    ///
    /// # Errors
    /// As [`start`](Self::start); the driver's own if it cannot subscribe now.
    pub async fn drain(self) -> Result<Drained> {
        self.drain_until(Until::NothingReady).await
    }

    /// As [`drain`](Self::drain), but until the queues are empty.
    ///
    /// It waits without limit for delayed jobs and those that others have reserved.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn drain_all(self) -> Result<Drained> {
        self.drain_until(Until::NothingWaits).await
    }

    async fn drain_until(self, until: Until) -> Result<Drained> {
        let shared = self.build()?;
        let subscription = shared.subscribe().await?;
        // Dropped with this future, it stops.
        let consumer = spawn(shared.clone(), until, Some(subscription));
        stopped(consumer.supervisor).await?;
        Ok(shared.tally().0)
    }

    fn build(self) -> Result<Arc<Shared>> {
        let driver = self.manager.find(None)?.clone();
        let capabilities = driver.capabilities();
        let registry = self.handlers.freeze()?;
        check(&self.settings, &capabilities)?;
        let stop = CancellationToken::new();
        let queues = self.checked_queues(&capabilities, &stop)?;
        let (line, line_grew, suspect_is_running, settled, tally) = Default::default();
        Ok(Arc::new(Shared {
            slots: Arc::new(Semaphore::new(self.settings.workers)),
            shares: Shares::new(&self.settings, &capabilities),
            line,
            line_grew,
            // As many as there are threads: those that handlers block hold back no other.
            starters: Handle::current().metrics().num_workers().min(self.settings.workers),
            driver,
            capabilities,
            registry,
            settings: self.settings,
            queues,
            suspect_is_running,
            listeners: self.listeners,
            stop,
            abort: CancellationToken::new(),
            settled,
            tally,
        }))
    }

    fn checked_queues(
        &self,
        capabilities: &Capabilities,
        stop: &CancellationToken,
    ) -> Result<Vec<Arc<Queue>>> {
        let names = self.queues.clone().unwrap_or_else(|| self.handlers.queues().into_iter().collect());
        within("queues", names.len(), 10_000)?;
        let known: BTreeSet<_> = names.iter().collect();
        ensure(known.len() == names.len(), || config("a queue is named twice"))?;
        for named in self.rate_limits.keys().chain(self.weights.keys()) {
            let error = || config(format!("{named:?} is not in `queues`"));
            ensure(known.contains(named), error)?;
        }
        let is_clear = self.weights.is_empty() || !self.settings.is_strict;
        ensure(is_clear, || config("strict_order or weights: use one of the two"))?;
        names.iter().map(|name| self.checked_queue(name, capabilities, stop)).collect()
    }

    fn checked_queue(
        &self,
        queue: &str,
        capabilities: &Capabilities,
        stop: &CancellationToken,
    ) -> Result<Arc<Queue>> {
        let rate_limit = self.rate_limits.get(queue).copied();
        check_rate_limit(rate_limit, capabilities)?;
        let weight = self.weights.get(queue).copied().unwrap_or(1);
        within(&format!("the weight of {queue:?}"), weight as usize, 1_000_000)?;
        let home = Home { manager: self.manager.clone(), queue: QueueName::new(queue)?, stop: stop.clone() };
        Ok(Arc::new(Queue::new(home, rate_limit, weight)))
    }
}

fn check(settings: &Settings, capabilities: &Capabilities) -> Result<()> {
    within("workers", settings.workers, 100_000)?;
    ensure(settings.max_lost != Some(0), || config("max_lost must be at least 1"))?;
    ensure(settings.grace <= LONGEST, || config("the grace period must be at most 2^28-1 seconds"))?;
    ensure(settings.lease >= LEASE_MIN, || config(format!("the lease must be at least {LEASE_MIN:?}")))?;
    check_lease(settings.lease, capabilities)
}

fn within(what: &str, value: usize, max: usize) -> Result<()> {
    let error = || config(format!("{what} must be 1 to {max}, not {value}"));
    ensure((1..=max).contains(&value), error)
}

fn config(detail: impl Into<String>) -> Error {
    Error::config("start", detail)
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queues, handlers, settings, .. } = self;
        write!(f, "ConsumerBuilder({queues:?}, {handlers:?}, {settings:?})")
    }
}
