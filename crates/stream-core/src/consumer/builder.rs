//! The options of a consumer, and its start.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    Consumer, Drained, Event, Stopped,
    fetch::{Fetcher, Until},
    shared::{Finished, Listener, Queue, Settings, Shared, UNPOISONED, Unhandled},
    stop::supervise,
};
use crate::{
    Capabilities, Error, Handlers, LONGEST, QueueManager, QueueName, RateLimit, Result, Subscription,
    manager::{check_lease, check_rate_limit},
    retry,
};

const WORKERS_MAX: usize = 100_000;
const QUEUES_MAX: usize = 10_000;
const WEIGHT_MAX: u32 = 1_000_000;
/// A shorter lease could not be kept: it is extended every third of it.
const LEASE_MIN: Duration = Duration::from_millis(10);

/// The options of a consumer; mistakes are reported by `start`, `run_until` or `drain`.
#[must_use = "a consumer works nothing before `start`, `run_until` or `drain`"]
#[derive(Clone)]
pub struct ConsumerBuilder {
    manager: QueueManager,
    handlers: Handlers,
    queues: Option<Vec<String>>,
    rate_limits: BTreeMap<String, RateLimit>,
    weights: BTreeMap<String, u32>,
    max_lost: Option<u32>,
    settings: Settings,
    listeners: Vec<Listener>,
}

impl ConsumerBuilder {
    pub(super) fn new(manager: QueueManager, handlers: Handlers) -> Self {
        let settings = Settings {
            workers: 10,
            lease: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            max_lost: 0,
            unhandled: Unhandled::Retry,
            is_strict: false,
        };
        Self {
            manager,
            handlers,
            queues: None,
            rate_limits: BTreeMap::new(),
            weights: BTreeMap::new(),
            max_lost: None,
            settings,
            listeners: Vec::new(),
        }
    }

    /// The queues to work, up to 10,000; those of the registered job types if this is not called.
    pub fn queues<Q: AsRef<str>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.queues = Some(queues.into_iter().map(|queue| queue.as_ref().to_owned()).collect());
        self
    }

    /// How many jobs run at the same time, from 1 to 100,000; 10 unless set.
    pub fn workers(mut self, slots: usize) -> Self {
        self.settings.workers = slots;
        self
    }

    /// At most this many starts in any window, over all processes that set it for the queue.
    pub fn rate_limit(mut self, queue: &str, limit: RateLimit) -> Self {
        self.rate_limits.insert(queue.to_owned(), limit);
        self
    }

    /// The share of a queue beside the others; 1 unless set.
    pub fn weight(mut self, queue: &str, weight: u32) -> Self {
        self.weights.insert(queue.to_owned(), weight);
        self
    }

    /// Works a queue only while those named before it are empty; their news may take 50 ms to be heard.
    pub fn strict_order(mut self) -> Self {
        self.settings.is_strict = true;
        self
    }

    /// How long a job stays ours without a sign of life, at least 10 ms; 30 seconds unless set.
    ///
    /// It is extended every third of it while the job runs. After a crash the job is taken over within
    /// two leases.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long running jobs may go on after a shutdown began; 30 seconds unless set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How often a job may be lost before it is buried unrun; 5, or 20 where unstarted ones count.
    pub fn max_lost(mut self, times: u32) -> Self {
        self.max_lost = Some(times);
        self
    }

    /// Buries jobs without a handler at once, instead of retrying them in a minute or later.
    pub fn bury_unhandled(mut self) -> Self {
        self.settings.unhandled = Unhandled::Bury;
        self
    }

    /// Adds a listener; it is called in place and should be quick.
    pub fn on_event(mut self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Starts to work in the background.
    ///
    /// The store need not be there yet: the consumer asks until it is.
    ///
    /// # Errors
    /// `Config` for options that cannot be meant; `Unsupported` for what the connection does not promise.
    pub async fn start(self) -> Result<Consumer> {
        let (shared, outcomes) = self.build()?;
        let subscription = match subscribe(&shared).await {
            Ok(subscription) => Some(subscription),
            Err(error) if error.is_transient() => None,
            Err(error) => return Err(error),
        };
        let stop = shared.stop.clone();
        let fetcher = Fetcher::new(shared.clone(), Until::Stopped, subscription);
        let supervisor = tokio::spawn(supervise(shared, fetcher, outcomes));
        Ok(Consumer { stop, supervisor: Some(supervisor) })
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

    /// Works until nothing is ready or running, then returns.
    ///
    /// Delayed jobs, retries and what a rate limit holds back stay.
    ///
    /// # Errors
    /// As [`start`](Self::start); also the driver's own if it cannot subscribe now.
    pub async fn drain(self) -> Result<Drained> {
        self.drain_until(Until::NothingReady).await
    }

    /// As [`drain`](Self::drain), but until the queues are empty.
    ///
    /// It waits for delayed jobs and retries, and for what others have reserved, however long that takes.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn drain_all(self) -> Result<Drained> {
        self.drain_until(Until::NothingWaits).await
    }

    async fn drain_until(self, until: Until) -> Result<Drained> {
        let (shared, outcomes) = self.build()?;
        // Dropping the drain stops it as dropping a consumer does.
        let _stops_when_dropped = shared.stop.clone().drop_guard();
        let subscription = subscribe(&shared).await?;
        let fetcher = Fetcher::new(shared.clone(), until, Some(subscription));
        let supervisor = tokio::spawn(supervise(shared.clone(), fetcher, outcomes));
        supervisor
            .await
            .map_err(|error| Error::new(crate::ErrorKind::Unexpected, "core", "drain").caused_by(error))?;
        let (drained, _) = *shared.tally.lock().expect(UNPOISONED);
        Ok(drained)
    }

    /// Checks the options, without I/O.
    fn build(self) -> Result<(Arc<Shared>, Vec<mpsc::UnboundedReceiver<Finished>>)> {
        let driver = self.manager.find(None)?.clone();
        let capabilities = driver.capabilities();
        let registry = self.handlers.freeze()?;
        let max_lost = self.max_lost.unwrap_or_else(|| retry::max_lost(capabilities.counts));
        let settings = Settings { max_lost, ..self.settings.clone() };
        check(&settings, &capabilities)?;
        let (queues, outcomes) = self.checked_queues(&capabilities)?.into_iter().unzip();
        let shared = Shared {
            slots: Arc::new(Semaphore::new(settings.workers)),
            driver,
            capabilities,
            manager: self.manager,
            registry,
            settings,
            queues,
            suspect_is_running: AtomicBool::new(false),
            listeners: self.listeners,
            stop: CancellationToken::new(),
            end: CancellationToken::new(),
            settled: Notify::new(),
            tally: Mutex::default(),
        };
        Ok((Arc::new(shared), outcomes))
    }

    fn checked_queues(
        &self,
        capabilities: &Capabilities,
    ) -> Result<Vec<(Arc<Queue>, mpsc::UnboundedReceiver<Finished>)>> {
        let registered = || self.handlers.queues().into_iter().map(str::to_owned).collect();
        let names = self.queues.clone().unwrap_or_else(registered);
        if names.is_empty() || names.len() > QUEUES_MAX {
            return Err(config(format!("a consumer works 1 to {QUEUES_MAX} queues, not {}", names.len())));
        }
        for named in self.rate_limits.keys().chain(self.weights.keys()) {
            if !names.contains(named) {
                return Err(config(format!("{named:?} has a rate limit or a weight but is not in `queues`")));
            }
        }
        if self.settings.is_strict && !self.weights.is_empty() {
            return Err(config("strict_order leaves no shares to weigh: use one of the two"));
        }
        let mut queues = BTreeMap::new();
        for (place, queue) in names.iter().enumerate() {
            let rate_limit = self.rate_limits.get(queue).copied();
            rate_limit.map_or(Ok(()), |limit| check_rate_limit(limit, capabilities))?;
            let weight = self.weights.get(queue).copied().unwrap_or(1);
            if weight == 0 || weight > WEIGHT_MAX {
                return Err(config(format!(
                    "the weight of {queue:?} must be 1 to {WEIGHT_MAX}, not {weight}"
                )));
            }
            let (checked, outcomes) = Queue::new(QueueName::new(queue)?, rate_limit, weight);
            if queues.insert(queue, (place, Arc::new(checked), outcomes)).is_some() {
                return Err(config(format!("the queue {queue:?} is named twice")));
            }
        }
        let mut queues: Vec<_> = queues.into_values().collect();
        queues.sort_by_key(|(place, ..)| *place);
        Ok(queues.into_iter().map(|(_, queue, outcomes)| (queue, outcomes)).collect())
    }
}

fn check(settings: &Settings, capabilities: &Capabilities) -> Result<()> {
    if settings.workers == 0 || settings.workers > WORKERS_MAX {
        return Err(config(format!("workers must be 1 to {WORKERS_MAX}, not {}", settings.workers)));
    }
    if settings.max_lost == 0 {
        return Err(config("max_lost must be at least 1, or no job would ever run"));
    }
    if settings.grace > LONGEST {
        return Err(config("the grace period must be at most 2^28-1 seconds"));
    }
    if settings.lease < LEASE_MIN {
        return Err(config(format!("the lease must be at least {LEASE_MIN:?}")));
    }
    check_lease(settings.lease, capabilities)
}

fn config(detail: impl Into<String>) -> Error {
    Error::config("start", detail)
}

async fn subscribe(shared: &Shared) -> Result<Box<dyn Subscription>> {
    let names: Vec<QueueName> = shared.queues.iter().map(|queue| queue.name.clone()).collect();
    shared.driver.subscribe(&names).await
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("queues", &self.queues)
            .field("handlers", &self.handlers)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
