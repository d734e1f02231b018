//! What the tasks of one consumer share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    task::AbortHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Drained, Event, caught::catch};
use crate::{
    Capabilities, Context, Delivery, Driver, Error, JobError, JobId, Outcome, QueueManager, QueueName,
    RateLimit, handler::Registry, handler::Runnable,
};

pub(super) const UNPOISONED: &str = "no code of the user runs under the lock";

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
    /// What became of deliveries, and how many were aborted. Short state, never held across an await.
    pub(super) tally: Mutex<(Drained, u64)>,
}

/// One queue of a consumer: its jobs in flight and the way to its settler.
pub(super) struct Queue {
    pub(super) name: QueueName,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) weight: u32,
    pub(super) finished: mpsc::UnboundedSender<Finished>,
    /// Short state, never held across an await.
    in_flight: Mutex<HashMap<JobId, Arc<Run>>>,
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
            let mut in_flight = self.in_flight.lock().expect(UNPOISONED);
            let was_idle = in_flight.is_empty();
            in_flight.insert(run.cx.id(), run.clone());
            was_idle
        };
        if was_idle {
            self.work_began.notify_one();
        }
    }

    /// Forgets a delivery, unless the job is in flight anew.
    pub(super) fn end(&self, run: &Arc<Run>) {
        let mut in_flight = self.in_flight.lock().expect(UNPOISONED);
        if in_flight.get(&run.cx.id()).is_some_and(|other| Arc::ptr_eq(other, run)) {
            in_flight.remove(&run.cx.id());
        }
    }

    pub(super) fn find(&self, id: JobId) -> Option<Arc<Run>> {
        self.in_flight.lock().expect(UNPOISONED).get(&id).cloned()
    }

    pub(super) fn in_flight(&self) -> Vec<Arc<Run>> {
        let in_flight = self.in_flight.lock().expect(UNPOISONED);
        in_flight.values().cloned().collect()
    }
}

/// A job in flight: from its reserve until the store has answered its settlement.
pub(super) struct Run {
    pub(super) cx: Context,
    /// The present delivery: not the first one if the lease had ended and we took the job again.
    delivery: Mutex<Arc<Delivery>>,
    pub(super) begun: Instant,
    pub(super) abort: OnceLock<AbortHandle>,
    pub(super) is_suspect: bool,
    /// A settlement was sent whose answer was lost.
    pub(super) is_unknown: AtomicBool,
}

impl Run {
    pub(super) fn new(cx: Context, is_suspect: bool) -> Self {
        let delivery = Mutex::new(cx.delivery().clone());
        let (abort, is_unknown) = (OnceLock::new(), AtomicBool::new(false));
        Self { cx, delivery, begun: Instant::now(), abort, is_suspect, is_unknown }
    }

    pub(super) fn delivery(&self) -> Arc<Delivery> {
        self.delivery.lock().expect(UNPOISONED).clone()
    }

    /// Goes on under a new delivery of the same job, if that is what it is; says whether it is.
    ///
    /// After a lost answer the old outcome may have counted: then only a count of losses that has risen,
    /// in the same attempt, shows that it has not.
    pub(super) fn renew(&self, new: &Arc<Delivery>) -> bool {
        let old = self.delivery();
        let is_same =
            !self.is_unknown.load(Ordering::Acquire) || (new.attempt == old.attempt && new.lost > old.lost);
        if is_same && !self.cx.is_lost() {
            *self.delivery.lock().expect(UNPOISONED) = new.clone();
        }
        is_same && !self.cx.is_lost()
    }
}

/// A delivery that waits for its settlement, with the slot it still takes.
pub(super) struct Finished {
    pub(super) work: Work,
    pub(super) outcome: Outcome,
    pub(super) slot: OwnedSemaphorePermit,
}

pub(super) enum Work {
    /// A handler ran.
    Ran { run: Arc<Run>, failure: Option<(JobError, Runnable)> },
    /// It was aborted at the end of the grace period.
    Aborted { run: Arc<Run> },
    /// It must not or cannot be run.
    NotRun(Arc<Delivery>),
}

impl Work {
    pub(super) fn delivery(&self) -> Arc<Delivery> {
        match self {
            Self::Ran { run, .. } | Self::Aborted { run } => run.delivery(),
            Self::NotRun(delivery) => delivery.clone(),
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

    pub(super) fn count(&self, outcome: &Outcome) {
        let (drained, _) = &mut *self.tally.lock().expect(UNPOISONED);
        *match outcome {
            Outcome::Done => &mut drained.done,
            Outcome::Retry { .. } => &mut drained.retried,
            Outcome::Bury { .. } => &mut drained.buried,
            Outcome::Release { .. } => &mut drained.released,
        } += 1;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.slots.available_permits() == self.settings.workers
    }
}
