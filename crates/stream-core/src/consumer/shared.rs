//! What the tasks of one consumer share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    task::AbortHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Drained, Event, caught::catch};
use crate::{
    Capabilities, Context, Delivery, Driver, Error, JobError, Outcome, QueueManager, QueueName, RateLimit,
    handler::Registry, handler::Runnable,
};

pub(super) type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// The settings of a consumer, checked.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) workers: usize,
    pub(super) lease: Duration,
    pub(super) grace: Duration,
    pub(super) max_lost: u32,
    pub(super) unhandled: Unhandled,
    pub(super) is_strict: bool,
}

/// What becomes of a job for which no handler is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unhandled {
    Retry,
    Bury,
}

/// What the tasks of one consumer share.
pub(super) struct Shared {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) capabilities: Capabilities,
    pub(super) manager: QueueManager,
    pub(super) registry: Registry,
    pub(super) settings: Settings,
    pub(super) queues: Vec<Arc<Queue>>,
    pub(super) slots: Arc<Semaphore>,
    /// One suspect runs at a time.
    pub(super) suspect_is_running: AtomicBool,
    pub(super) listeners: Vec<Listener>,
    /// Begins the graceful stop.
    pub(super) stop: CancellationToken,
    /// Ends settlers and lease keepers.
    pub(super) end: CancellationToken,
    /// A delivery was settled: for those that wait for the last one.
    pub(super) settled: Notify,
    pub(super) tally: Tally,
}

/// One queue of a consumer: its jobs in flight and the way to its settler.
pub(super) struct Queue {
    pub(super) name: QueueName,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) weight: u32,
    pub(super) finished: mpsc::UnboundedSender<Finished>,
    /// Short state, never held across an await.
    in_flight: Mutex<HashMap<u64, Arc<Run>>>,
    pub(super) work_began: Notify,
}

impl Queue {
    pub(super) fn new(
        name: QueueName,
        rate_limit: Option<RateLimit>,
        weight: u32,
    ) -> (Self, mpsc::UnboundedReceiver<Finished>) {
        // Not bounded by a channel: the slots bound it.
        let (finished, outcomes) = mpsc::unbounded_channel();
        let queue = Self {
            name,
            rate_limit,
            weight,
            finished,
            in_flight: Mutex::default(),
            work_began: Notify::new(),
        };
        (queue, outcomes)
    }

    pub(super) fn begin(&self, run: &Arc<Run>) {
        let was_idle = {
            let mut in_flight = self.in_flight.lock().expect("never poisoned: no user code runs under it");
            let was_idle = in_flight.is_empty();
            in_flight.insert(run.number, run.clone());
            was_idle
        };
        if was_idle {
            self.work_began.notify_one();
        }
    }

    pub(super) fn end(&self, number: u64) {
        self.in_flight.lock().expect("never poisoned: no user code runs under it").remove(&number);
    }

    pub(super) fn in_flight(&self) -> Vec<Arc<Run>> {
        let in_flight = self.in_flight.lock().expect("never poisoned: no user code runs under it");
        in_flight.values().cloned().collect()
    }
}

/// A delivery in flight: from its reserve until the store has answered its settlement.
pub(super) struct Run {
    pub(super) number: u64,
    pub(super) cx: Context,
    pub(super) abort: OnceLock<AbortHandle>,
    pub(super) is_suspect: bool,
}

/// A delivery that waits for its settlement, with the slot it still takes.
pub(super) struct Finished {
    pub(super) work: Work,
    pub(super) outcome: Outcome,
    pub(super) slot: OwnedSemaphorePermit,
}

pub(super) enum Work {
    /// A handler ran.
    Ran { run: Arc<Run>, ran: Duration, failure: Option<(JobError, Runnable)> },
    /// It was aborted at the end of the grace period.
    Aborted { run: Arc<Run> },
    /// It must not or cannot be run.
    NotRun(Box<Delivery>),
}

impl Work {
    pub(super) fn delivery(&self) -> &Delivery {
        match self {
            Self::Ran { run, .. } | Self::Aborted { run } => run.cx.delivery(),
            Self::NotRun(delivery) => delivery,
        }
    }

    pub(super) fn run(&self) -> Option<&Arc<Run>> {
        match self {
            Self::Ran { run, .. } | Self::Aborted { run } => Some(run),
            Self::NotRun(_) => None,
        }
    }
}

impl Shared {
    /// Tells the listeners; a panic in one of them harms nobody.
    pub(super) fn emit(&self, event: &Event<'_>) {
        for listener in &self.listeners {
            if let Err(panic) = catch(|| listener(event)) {
                tracing::error!(%panic, "a listener of the consumer panicked");
            }
        }
    }

    /// The store failed on this queue; `is_new` says whether an outage begins.
    pub(super) fn unavailable(&self, queue: &QueueName, error: &Error, is_new: bool) {
        if is_new {
            tracing::warn!(%queue, %error, "the store does not answer; asking again until it does");
        }
        self.emit(&Event::Unavailable { queue, error });
    }

    pub(super) fn is_idle(&self) -> bool {
        self.slots.available_permits() == self.settings.workers
    }
}

/// What became of deliveries, counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    done: AtomicU64,
    retried: AtomicU64,
    buried: AtomicU64,
    released: AtomicU64,
    pub(super) aborted: AtomicU64,
}

impl Tally {
    pub(super) fn count(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Done => &self.done,
            Outcome::Retry { .. } => &self.retried,
            Outcome::Bury { .. } => &self.buried,
            Outcome::Release { .. } => &self.released,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn drained(&self) -> Drained {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Drained {
            done: read(&self.done),
            retried: read(&self.retried),
            buried: read(&self.buried),
            released: read(&self.released),
        }
    }
}
