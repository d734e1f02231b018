//! One queue of a consumer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::Instant,
};

use super::*;

pub(super) struct Queue {
    pub(super) home: Arc<Home>,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) weight: u32,
    /// From the reserve until the settlement is answered.
    in_flight: Mutex<BTreeMap<JobId, Context>>,
    finished: Mutex<Vec<Finished>>,
    pub(super) work_began: Notify,
    work_ended: Notify,
}

impl Queue {
    pub(super) fn new(home: Home, rate_limit: Option<RateLimit>, weight: u32) -> Self {
        let (in_flight, finished, work_began, work_ended) = Default::default();
        Self { home: Arc::new(home), rate_limit, weight, in_flight, finished, work_began, work_ended }
    }

    pub(super) fn name(&self) -> &QueueName {
        &self.home.queue
    }

    /// Takes out what runs here already: it goes on under its new delivery.
    ///
    /// Where its old outcome may have counted, the old run is over.
    pub(super) fn renew(&self, deliveries: &mut Vec<Arc<Delivery>>) {
        let mut in_flight = self.lock();
        deliveries.retain(|delivery| {
            let Some(cx) = delivery.id().and_then(|id| in_flight.get(&id).cloned()) else { return true };
            let is_renewed = cx.renew(delivery);
            if !is_renewed {
                cx.lose();
                in_flight.remove(&cx.id());
            }
            !is_renewed
        });
    }

    pub(super) fn begin(&self, jobs: &[Admitted]) {
        self.lock().extend(jobs.iter().map(|one| (one.cx.id(), one.cx.clone())));
        self.work_began.notify_one();
    }

    /// Forgets them, unless the job is in flight anew.
    pub(super) fn end<'a>(&self, over: impl IntoIterator<Item = &'a Context>) {
        let mut in_flight = self.lock();
        for cx in over {
            if in_flight.get(&cx.id()).is_some_and(|other| other.is(cx)) {
                in_flight.remove(&cx.id());
            }
        }
    }

    pub(super) fn in_flight(&self) -> Vec<Context> {
        self.lock().values().cloned().collect()
    }

    /// It is settled after the next `wake_settler`, if not before.
    pub(super) fn finish(&self, work: Work, outcome: Outcome, share: OwnedSemaphorePermit) {
        self.finished.lock().expect(UNPOISONED).push(Finished { work, outcome, share, hard_errors: 0 });
    }

    pub(super) fn wake_settler(&self) {
        self.work_ended.notify_one();
    }

    pub(super) async fn work_ended(&self) {
        self.work_ended.notified().await;
    }

    pub(super) fn take_finished(&self, max: usize) -> Vec<Finished> {
        let mut finished = self.finished.lock().expect(UNPOISONED);
        let count = finished.len().min(max);
        finished.drain(..count).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Context>> {
        self.in_flight.lock().expect(UNPOISONED)
    }
}

/// A job to be run.
pub(super) struct Admitted {
    pub(super) queue: Arc<Queue>,
    pub(super) cx: Context,
    pub(super) runnable: Runnable,
    pub(super) share: OwnedSemaphorePermit,
    /// In line.
    pub(super) since: Instant,
}

/// A delivery that waits for its settlement.
pub(super) struct Finished {
    pub(super) work: Work,
    pub(super) outcome: Outcome,
    pub(super) share: OwnedSemaphorePermit,
    pub(super) hard_errors: u32,
}

pub(super) enum Work {
    Ran { cx: Context, begun: Instant, end: End },
    NotRun(Arc<Delivery>),
}

pub(super) enum End {
    Done,
    Failed(JobError, Runnable),
    Aborted,
}

impl Work {
    pub(super) fn delivery(&self) -> Arc<Delivery> {
        match self {
            Self::Ran { cx, .. } => cx.delivery(),
            Self::NotRun(delivery) => delivery.clone(),
        }
    }

    pub(super) fn cx(&self) -> Option<&Context> {
        match self {
            Self::Ran { cx, .. } => Some(cx),
            Self::NotRun(_) => None,
        }
    }
}
