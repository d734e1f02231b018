//! Takes jobs: a free slot first, then a fair pick among the queues that may have work.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    Event,
    execute::{SUSPECT_FROM, admit, runs_already},
    pick::{Picker, pause},
    shared::{Queue, Shared},
};
use crate::{
    Delivery, Error, Outcome, QueueName, Reserve, Result, Settlement, Subscription, random::random, retry,
};

/// How long one `ready` waits; the driver answers earlier when there is work.
const READY_WAIT: Duration = Duration::from_secs(30);
/// While some queues are busy, how often news of the others is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a stop waits for a reserve that is under way: what it took would else wait for its lease.
const LAST_RESERVE: Duration = Duration::from_millis(500);
/// How long a suspect that is not run now is put back for.
const SUSPECT_PAUSE: Duration = Duration::from_secs(1);

/// When the fetcher ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Only by a stop.
    Stopped,
    /// When nothing is ready and nothing runs.
    NothingReady,
    /// When nothing waits at all, delayed jobs included, and nothing runs.
    NothingWaits,
}

pub(super) struct Fetcher {
    shared: Arc<Shared>,
    until: Until,
    picker: Picker,
    subscription: Option<Box<dyn Subscription>>,
    looked_at: Instant,
    failures: u32,
    /// Reserves in a row that gave nothing.
    fruitless: usize,
    /// All queues were asked, with nothing running, since the last job was taken.
    is_swept: bool,
}

impl Fetcher {
    pub(super) fn new(
        shared: Arc<Shared>,
        until: Until,
        subscription: Option<Box<dyn Subscription>>,
    ) -> Self {
        let weights = shared.queues.iter().map(|queue| queue.weight);
        let picker = Picker::new(weights, shared.settings.is_strict);
        let looked_at = Instant::now();
        Self { shared, until, picker, subscription, looked_at, failures: 0, fruitless: 0, is_swept: false }
    }

    /// Works until the stop, or until everything is drained; gives the subscription back to be closed.
    pub(super) async fn run(mut self) -> Option<Box<dyn Subscription>> {
        let stop = self.shared.stop.clone();
        while !stop.is_cancelled() {
            let Some(subscription) = self.subscription.take() else {
                self.subscribe().await;
                continue;
            };
            let goes_on = self.step(&*subscription).await;
            self.subscription = Some(subscription);
            if !goes_on {
                break;
            }
        }
        self.subscription
    }

    /// A worker may start before its server: asks until there is a subscription, or the stop.
    async fn subscribe(&mut self) {
        let names: Vec<QueueName> = self.shared.queues.iter().map(|queue| queue.name.clone()).collect();
        match self.unless_stopped(self.shared.driver.subscribe(&names)).await {
            Some(Ok(subscription)) => {
                self.subscription = Some(subscription);
                self.failures = 0;
            }
            Some(Err(error)) => self.failed(&error).await,
            None => {}
        }
    }

    /// One reserve, or one wait; false when everything is drained.
    async fn step(&mut self, subscription: &dyn Subscription) -> bool {
        let slots = self.shared.slots.clone();
        let Some(Ok(slot)) = self.unless_stopped(slots.acquire_owned()).await else { return true };
        if self.picker.knows_an_empty_one() && self.looked_at.elapsed() >= LOOK_EVERY {
            self.look(subscription, Duration::ZERO).await;
        }
        if let Some(at) = self.picker.next(Instant::now()) {
            self.reserve(subscription, at, slot).await;
            return true;
        }
        drop(slot);
        match (self.picker.next_retry(), self.until) {
            (Some(retry), _) => self.look_while_pausing(subscription, retry).await,
            (None, Until::Stopped) => self.look(subscription, READY_WAIT).await,
            (None, _) => return self.wait_in_drain(subscription).await,
        }
        true
    }

    /// Asks which queues may have work.
    async fn look(&mut self, subscription: &dyn Subscription, wait: Duration) {
        match self.unless_stopped(subscription.ready(wait)).await {
            Some(Ok(ready)) => {
                self.failures = 0;
                for name in ready {
                    if let Some(at) = self.shared.queues.iter().position(|queue| queue.name == name) {
                        self.picker.may_have_work(at);
                    }
                }
            }
            Some(Err(error)) => self.failed(&error).await,
            None => {}
        }
        self.looked_at = Instant::now();
    }

    /// A queue whose store failed pauses: `ready` may go on naming it, so it alone cannot be waited on.
    async fn look_while_pausing(&mut self, subscription: &dyn Subscription, retry: Instant) {
        self.look(subscription, retry.saturating_duration_since(Instant::now())).await;
        if !self.picker.has_next(Instant::now()) {
            let sleep = tokio::time::sleep_until(retry.min(Instant::now() + LOOK_EVERY));
            self.unless_stopped(sleep).await;
        }
    }

    async fn reserve(&mut self, subscription: &dyn Subscription, at: usize, mut slots: OwnedSemaphorePermit) {
        let queue = self.shared.queues[at].clone();
        let spare =
            self.shared.slots.available_permits().min(self.shared.capabilities.batch.saturating_sub(1));
        if let Ok(more) = self.shared.slots.clone().try_acquire_many_owned(spare as u32) {
            slots.merge(more);
        }
        let mut request = Reserve::new(slots.num_permits()).lease(self.shared.settings.lease);
        request.rate_limit = queue.rate_limit;
        let Some(taken) = self.or_at_last(subscription.reserve(&queue.name, request)).await else { return };
        match taken {
            Ok(deliveries) => {
                if self.picker.answered(at) {
                    tracing::info!(queue = %queue.name, "the store answers again");
                }
                if deliveries.len() < request.max_jobs {
                    self.picker.is_empty(at);
                }
                self.is_swept &= deliveries.is_empty();
                self.fruitless = if deliveries.is_empty() { self.fruitless + 1 } else { 0 };
                self.admit_all(&queue, deliveries, slots).await;
                if self.fruitless > 3 * self.shared.queues.len() {
                    // A store that goes on naming an empty queue must not keep us spinning.
                    self.unless_stopped(tokio::time::sleep(LOOK_EVERY)).await;
                }
            }
            Err(error) => {
                let is_new = self.picker.failed(at, Instant::now(), random());
                self.shared.unavailable(&queue.name, &error, is_new);
            }
        }
    }

    /// Starts what was taken; of suspects only one, and not beside another.
    async fn admit_all(
        &self,
        queue: &Arc<Queue>,
        deliveries: Vec<Delivery>,
        mut slots: OwnedSemaphorePermit,
    ) {
        let taken = deliveries.into_iter().map(Arc::new).filter(|delivery| !runs_already(queue, delivery));
        if self.shared.stop.is_cancelled() {
            return self.put_back(queue, taken.collect(), Duration::ZERO).await;
        }
        let (counts, max_lost) = (self.shared.capabilities.counts, self.shared.settings.max_lost);
        let is_suspect = |delivery: &Arc<Delivery>| {
            retry::losses(delivery, counts) >= SUSPECT_FROM
                && retry::unrunnable(delivery, counts, max_lost).is_none()
        };
        let (mut suspects, others): (Vec<_>, Vec<_>) = taken.partition(is_suspect);
        for delivery in others {
            self.admit(queue, delivery, &mut slots);
        }
        let may_run_one = !self.shared.suspect_is_running.load(Ordering::Acquire);
        let chosen = (may_run_one && !suspects.is_empty()).then(|| suspects.remove(0));
        // The others go back first: the one that runs may take this process with it.
        let wait = SUSPECT_PAUSE.mul_f64(0.5 + random()).min(self.shared.capabilities.retry_delay.max());
        self.put_back(queue, suspects, wait).await;
        if let Some(delivery) = chosen {
            self.admit(queue, delivery, &mut slots);
        }
    }

    fn admit(&self, queue: &Arc<Queue>, delivery: Arc<Delivery>, slots: &mut OwnedSemaphorePermit) {
        // A driver that returned more than was asked for keeps the rest until their leases end.
        let Some(slot) = slots.split(1) else { return };
        admit(&self.shared, queue, delivery, slot);
    }

    /// Releases deliveries unrun, and waits for the answer.
    async fn put_back(&self, queue: &Queue, mut deliveries: Vec<Arc<Delivery>>, after: Duration) {
        const TRIES: u32 = 3;
        let outcome = Outcome::Release { after };
        for tried in 1..=TRIES {
            if deliveries.is_empty() {
                return;
            }
            let settlements: Vec<_> =
                deliveries.iter().map(|delivery| Settlement::new(delivery, &outcome)).collect();
            let mut answers = self.shared.driver.settle(&queue.name, &settlements).await.into_iter();
            deliveries.retain(|delivery| match answers.next() {
                Some(Ok(())) => {
                    self.shared.count(&outcome);
                    let queue = &queue.name;
                    self.shared.emit(&Event::NotRun { queue, delivery, outcome: &outcome });
                    false
                }
                Some(Err(error)) => error.is_transient(),
                None => false,
            });
            if !deliveries.is_empty() {
                tokio::time::sleep(pause(tried, random())).await;
            }
        }
    }

    /// Everything is known empty: waits for what runs, sweeps once more, then ends.
    async fn wait_in_drain(&mut self, subscription: &dyn Subscription) -> bool {
        const WAIT: Duration = Duration::from_millis(200);
        let shared = self.shared.clone();
        let settled = shared.settled.notified();
        tokio::pin!(settled);
        settled.as_mut().enable();
        if !shared.is_idle() {
            tokio::select! {
                () = settled => {}
                () = self.look(subscription, WAIT) => {}
            }
            return true;
        }
        if !self.is_swept {
            self.is_swept = true;
            self.picker.all_may_have_work();
            return true;
        }
        if self.until == Until::NothingReady || self.nothing_waits().await {
            return false;
        }
        self.look(subscription, READY_WAIT).await;
        self.is_swept = false;
        true
    }

    async fn nothing_waits(&self) -> bool {
        for queue in &self.shared.queues {
            match self.shared.driver.depth(&queue.name).await {
                Ok(depth) if depth.ready + depth.delayed + depth.reserved == 0 => {}
                _ => return false,
            }
        }
        true
    }

    /// The store failed before any queue was asked.
    async fn failed(&mut self, error: &Error) {
        self.failures = self.failures.saturating_add(1);
        self.shared.unavailable(&self.shared.queues[0].name, error, self.failures == 1);
        let sleep = tokio::time::sleep(pause(self.failures, random()));
        self.unless_stopped(sleep).await;
    }

    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            value = future => Some(value),
            () = self.shared.stop.cancelled() => None,
        }
    }

    /// The value of a reserve; at a stop it has a little more time, since what it took would else wait.
    async fn or_at_last<T>(&self, reserve: impl Future<Output = Result<T>>) -> Option<Result<T>> {
        tokio::pin!(reserve);
        tokio::select! {
            biased;
            value = &mut reserve => Some(value),
            () = self.shared.stop.cancelled() => tokio::time::timeout(LAST_RESERVE, reserve).await.ok(),
        }
    }
}
