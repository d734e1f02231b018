//! What the tasks of one consumer share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Drained, Event, caught::catch};
use crate::{
    Capabilities, Context, Delivery, Driver, Envelope, Error, JobError, JobId, Outcome, QueueManager,
    QueueName, RateLimit, Result, Subscription,
    handler::{Registry, Runnable},
    retry,
};

const UNPOISONED: &str = "no code of the user runs under the lock";
const SUSPECT_FROM: u32 = 2;

pub(super) type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) workers: usize,
    pub(super) lease: Duration,
    pub(super) grace: Duration,
    pub(super) max_lost: Option<u32>,
    pub(super) buries_unhandled: bool,
    pub(super) is_strict: bool,
}

pub(super) struct Shared {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) capabilities: Capabilities,
    pub(super) manager: QueueManager,
    pub(super) registry: Registry,
    pub(super) settings: Settings,
    pub(super) queues: Vec<Arc<Queue>>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) suspect_is_running: AtomicBool,
    pub(super) listeners: Vec<Listener>,
    pub(super) stop: CancellationToken,
    /// Ends what still runs after the grace period.
    pub(super) abort: CancellationToken,
    pub(super) end: CancellationToken,
    pub(super) settled: Notify,
    /// And how many were aborted.
    pub(super) tally: Mutex<(Drained, u64)>,
}

impl Shared {
    pub(super) async fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        let names: Vec<QueueName> = self.queues.iter().map(|queue| queue.name.clone()).collect();
        self.driver.subscribe(&names).await
    }

    pub(super) fn runnable<'a>(&self, delivery: &'a Delivery) -> Result<&'a Envelope, Outcome> {
        retry::runnable(delivery, self.capabilities.counts, self.settings.max_lost)
    }

    /// It may have killed its workers: it runs beside no other suspect.
    pub(super) fn is_suspect(&self, delivery: &Delivery) -> bool {
        retry::losses(delivery, self.capabilities.counts) >= SUSPECT_FROM && self.runnable(delivery).is_ok()
    }

    pub(super) fn emit(&self, event: &Event<'_>) {
        for listener in &self.listeners {
            if let Err(panic) = catch(|| listener(event)) {
                tracing::error!(%panic, "a listener panicked");
            }
        }
    }

    pub(super) fn unavailable(&self, queue: &QueueName, error: &Error, is_new: bool) {
        if is_new {
            tracing::warn!(%queue, %error, "the store does not answer; asking again");
        }
        self.emit(&Event::Unavailable { queue, error });
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, (Drained, u64)> {
        self.tally.lock().expect(UNPOISONED)
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        let drained = &mut self.tally().0;
        *match outcome {
            Outcome::Done => &mut drained.done,
            Outcome::Retry { .. } => &mut drained.retried,
            Outcome::Bury { .. } => &mut drained.buried,
            Outcome::Release { .. } => &mut drained.released,
        } += 1;
    }
}

pub(super) struct Queue {
    pub(super) name: QueueName,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) weight: u32,
    pub(super) runs: Mutex<HashMap<JobId, Arc<Run>>>,
    pub(super) finished: Mutex<Vec<Finished>>,
    pub(super) work_began: Notify,
    pub(super) work_ended: Notify,
}

impl Queue {
    pub(super) fn begin(&self, run: &Arc<Run>) {
        self.lock().insert(run.cx.id(), run.clone());
        self.work_began.notify_one();
    }

    /// Forgets it, unless the job is in flight anew.
    pub(super) fn end(&self, run: &Arc<Run>) {
        let mut in_flight = self.lock();
        if in_flight.get(&run.cx.id()).is_some_and(|other| Arc::ptr_eq(other, run)) {
            in_flight.remove(&run.cx.id());
        }
    }

    pub(super) fn find(&self, id: JobId) -> Option<Arc<Run>> {
        self.lock().get(&id).cloned()
    }

    pub(super) fn in_flight(&self) -> Vec<Arc<Run>> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn finish(&self, work: Work, outcome: Outcome, slot: OwnedSemaphorePermit) {
        self.finished.lock().expect(UNPOISONED).push(Finished { work, outcome, slot, hard_errors: 0 });
        self.work_ended.notify_one();
    }

    pub(super) fn take_finished(&self, max: usize) -> Vec<Finished> {
        let mut finished = self.finished.lock().expect(UNPOISONED);
        let count = finished.len().min(max);
        finished.drain(..count).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Run>>> {
        self.runs.lock().expect(UNPOISONED)
    }
}

/// A job in flight, until the store has answered its settlement.
pub(super) struct Run {
    pub(super) cx: Context,
    /// Not the first if we took the job again after its lease.
    delivery: Mutex<Arc<Delivery>>,
    pub(super) begun: Instant,
    pub(super) is_suspect: bool,
    /// The answer to a settlement was lost.
    pub(super) is_unknown: AtomicBool,
}

impl Run {
    pub(super) fn new(cx: Context, is_suspect: bool) -> Self {
        let delivery = Mutex::new(cx.delivery().clone());
        Self { cx, delivery, begun: Instant::now(), is_suspect, is_unknown: AtomicBool::new(false) }
    }

    pub(super) fn delivery(&self) -> Arc<Delivery> {
        self.delivery.lock().expect(UNPOISONED).clone()
    }

    /// Goes on under a new delivery of the same job; says whether it can.
    ///
    /// After a lost answer the old outcome may have counted, unless `lost` has risen in the same attempt.
    pub(super) fn renew(&self, new: &Arc<Delivery>) -> bool {
        let old = self.delivery();
        let is_same =
            !self.is_unknown.load(Ordering::Acquire) || (new.attempt == old.attempt && new.lost > old.lost);
        let is_renewed = is_same && !self.cx.is_lost();
        if is_renewed {
            *self.delivery.lock().expect(UNPOISONED) = new.clone();
        }
        is_renewed
    }
}

/// A delivery that waits for its settlement.
pub(super) struct Finished {
    pub(super) work: Work,
    pub(super) outcome: Outcome,
    pub(super) slot: OwnedSemaphorePermit,
    pub(super) hard_errors: u32,
}

pub(super) enum Work {
    Ran { run: Arc<Run>, failure: Option<(JobError, Runnable)> },
    Aborted { run: Arc<Run> },
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
