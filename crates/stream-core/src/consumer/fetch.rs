//! Takes jobs: a share first, then a pick among the queues.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::*;

const READY_WAIT: Duration = Duration::from_secs(30);
/// How often idle queues are looked at while others are busy.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What a reserve has taken would else wait for its lease.
const LAST_RESERVE: Duration = Duration::from_millis(500);
const SUSPECT_PAUSE: Duration = Duration::from_secs(1);

/// When the fetcher ends by itself.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Until {
    Stopped,
    NothingReady,
    NothingWaits,
}

/// None yet: a worker may start before its server.
pub(super) type Subscribed = Option<Box<dyn Subscription>>;

pub(super) struct Fetcher {
    shared: Arc<Shared>,
    until: Until,
    picker: Picker,
    pulse: Pulse,
    looked_at: Instant,
    failures: u32,
    /// Reserves in a row without a job.
    fruitless: usize,
    /// All queues were asked since the last job was taken.
    is_swept: bool,
}

impl Fetcher {
    pub(super) fn new(shared: Arc<Shared>, until: Until) -> Self {
        let weights = shared.queues.iter().map(|queue| queue.weight);
        let picker = Picker::new(weights, shared.settings.is_strict);
        let looked_at = Instant::now();
        let pulse = Pulse::new();
        Self { shared, until, picker, pulse, looked_at, failures: 0, fruitless: 0, is_swept: false }
    }

    /// Gives the subscription, to be closed after the last settlement.
    pub(super) async fn run(mut self, mut subscription: Subscribed) -> Subscribed {
        while !self.shared.stop.is_cancelled() {
            match &subscription {
                None => subscription = self.subscribe().await,
                Some(subscription) if self.step(&**subscription).await => {}
                Some(_) => break,
            }
        }
        subscription
    }

    async fn subscribe(&mut self) -> Subscribed {
        match self.unless_stopped(self.shared.subscribe()).await? {
            Ok(subscription) => {
                self.failures = 0;
                Some(subscription)
            }
            Err(error) => {
                self.failed(&error).await;
                None
            }
        }
    }

    /// One reserve, or one wait; false when everything is drained.
    async fn step(&mut self, subscription: &dyn Subscription) -> bool {
        let free = self.shared.shares.free.clone();
        let Some(Ok(share)) = self.unless_stopped(free.acquire_owned()).await else { return true };
        let Some(share) = self.pulse.adjust(&self.shared.shares, share) else { return true };
        if self.picker.knows_an_empty_one() && self.looked_at.elapsed() >= LOOK_EVERY {
            self.look(subscription, Duration::ZERO).await;
        }
        if let Some(at) = self.picker.next(Instant::now()) {
            self.reserve(subscription, at, share).await;
            return true;
        }
        drop(share);
        match (self.picker.next_retry(), self.until) {
            (Some(retry), _) => self.look_while_pausing(subscription, retry).await,
            (None, Until::Stopped) => self.look(subscription, READY_WAIT).await,
            (None, _) => return self.wait_in_drain(subscription).await,
        }
        true
    }

    async fn look(&mut self, subscription: &dyn Subscription, wait: Duration) {
        match self.unless_stopped(self.shared.caught(subscription.ready(wait))).await {
            Some(Ok(ready)) => {
                self.failures = 0;
                let ready: BTreeSet<_> = ready.into_iter().collect();
                for (at, queue) in self.shared.queues.iter().enumerate() {
                    if ready.contains(queue.name()) {
                        self.picker.may_have_work(at);
                    }
                }
            }
            Some(Err(error)) => self.failed(&error).await,
            None => {}
        }
        self.looked_at = Instant::now();
    }

    /// `ready` may go on naming a queue that pauses.
    async fn look_while_pausing(&mut self, subscription: &dyn Subscription, retry: Instant) {
        self.look(subscription, retry.saturating_duration_since(Instant::now())).await;
        if !self.picker.has_next(Instant::now()) {
            self.unless_stopped(sleep_until(retry.min(Instant::now() + LOOK_EVERY))).await;
        }
    }

    async fn reserve(
        &mut self,
        subscription: &dyn Subscription,
        at: usize,
        mut shares: OwnedSemaphorePermit,
    ) {
        let shared = self.shared.clone();
        let queue = &shared.queues[at];
        let free = &shared.shares.free;
        let mut spare = free.available_permits().min(shared.capabilities.batch.saturating_sub(1));
        if queue.rate_limit.is_some() {
            // A permit that was spent on a job should not wait for a slot.
            spare = spare.min(shared.slots.available_permits().saturating_sub(1));
        }
        if let Ok(more) = free.clone().try_acquire_many_owned(spare as u32) {
            shares.merge(more);
        }
        let asked_at = Instant::now();
        let mut request = Reserve::new(shares.num_permits()).lease(shared.settings.lease);
        request.rate_limit = queue.rate_limit;
        let mut reserve = pin!(shared.caught(subscription.reserve(queue.name(), request)));
        let mut taken = self.unless_stopped(&mut reserve).await;
        if taken.is_none() {
            taken = timeout(LAST_RESERVE, reserve).await.ok();
        }
        let Some(taken) = taken else { return };
        self.pulse.reserve_took = asked_at.elapsed();
        match taken {
            Ok(deliveries) => {
                if self.picker.answered(at) {
                    tracing::info!(queue = %queue.name(), "the store answers again");
                }
                if deliveries.len() < request.max_jobs {
                    self.picker.is_empty(at);
                }
                self.is_swept &= deliveries.is_empty();
                self.fruitless = if deliveries.is_empty() { self.fruitless + 1 } else { 0 };
                self.admit_all(queue, deliveries, shares).await;
                if self.fruitless > 3 * shared.queues.len() {
                    // A store may go on naming an empty queue.
                    self.unless_stopped(sleep(LOOK_EVERY)).await;
                }
            }
            Err(error) => {
                let is_new = self.picker.failed(at, Instant::now(), random());
                shared.unavailable(queue.name(), &error, is_new);
            }
        }
    }

    /// Admits what was taken; of suspects one at a time.
    async fn admit_all(
        &self,
        queue: &Arc<Queue>,
        deliveries: Vec<Delivery>,
        mut shares: OwnedSemaphorePermit,
    ) {
        let shared = &self.shared;
        let mut others: Vec<_> = deliveries.into_iter().map(Arc::new).collect();
        queue.renew(&mut others);
        if shared.stop.is_cancelled() {
            return self.put_back(queue, others, Duration::ZERO).await;
        }
        let mut suspects: Vec<_> = others.extract_if(.., |one| shared.is_suspect(one)).collect();
        admit(shared, queue, others, &mut shares);
        let may_run_one = !shared.suspect_is_running.load(Ordering::Acquire);
        let chosen = (may_run_one && !suspects.is_empty()).then(|| suspects.remove(0));
        // The others go back first: the one may take this process with it.
        let wait = SUSPECT_PAUSE.mul_f64(0.5 + random()).min(shared.capabilities.retry_delay.max());
        self.put_back(queue, suspects, wait).await;
        admit(shared, queue, chosen.into_iter().collect(), &mut shares);
    }

    async fn put_back(&self, queue: &Queue, mut deliveries: Vec<Arc<Delivery>>, after: Duration) {
        let (shared, queue, outcome) = (&self.shared, queue.name(), &Outcome::Release { after });
        for tried in 1..=3 {
            if deliveries.is_empty() {
                return;
            }
            let settlements: Vec<_> = deliveries.iter().map(|one| Settlement::new(one, outcome)).collect();
            let asked = Caught::new(shared.driver.settle(queue, &settlements));
            let mut answers = asked.await.unwrap_or_default().into_iter();
            deliveries.retain(|delivery| match answers.next() {
                Some(Ok(())) => {
                    shared.tally().0.add(outcome);
                    shared.emit(&Event::NotRun { queue, delivery, outcome });
                    false
                }
                Some(Err(error)) => error.is_transient(),
                None => false,
            });
            if !deliveries.is_empty() {
                sleep(pause(tried, random())).await;
            }
        }
    }

    /// Waits for what runs, sweeps once more, ends.
    async fn wait_in_drain(&mut self, subscription: &dyn Subscription) -> bool {
        let shared = self.shared.clone();
        let settled = shared.settled.notified();
        if shared.shares.taken() > 0 {
            let _ = timeout(LOOK_EVERY, settled).await;
            self.look(subscription, Duration::ZERO).await;
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
            match self.shared.driver.depth(queue.name()).await {
                Ok(depth) if depth.ready + depth.delayed + depth.reserved == 0 => {}
                _ => return false,
            }
        }
        true
    }

    async fn failed(&mut self, error: &Error) {
        self.failures = self.failures.saturating_add(1);
        self.shared.unavailable(self.shared.queues[0].name(), error, self.failures == 1);
        self.unless_stopped(sleep(pause(self.failures, random()))).await;
    }

    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.shared.stop.run_until_cancelled(future).await
    }
}
