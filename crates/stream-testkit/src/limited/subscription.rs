//! A place at some queues: direct, or behind a buffer that `ready` fills and `reserve` empties.

use std::{
    collections::HashMap,
    mem::take,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use stream_core::{
    Delivery, Driver, Error, Order, Outcome, Priorities, QueueName, Reserve, Result, Settlement,
    Subscription, async_trait,
};
use tokio::{runtime::Handle, time::Instant};

use super::{
    book::later,
    connection::{Connection, rounded_up, unsupported},
};

/// What was fetched is hidden from others no longer than this, or a third of the last lease.
const BUFFERED: Duration = Duration::from_secs(1);

pub(super) struct LimitedSubscription {
    connection: Arc<Connection>,
    inner: Option<Box<dyn Subscription>>,
    queues: Vec<QueueName>,
    // Held for a few instructions, never across an await.
    fetched: Mutex<HashMap<QueueName, Vec<Delivery>>>,
    buffered: Mutex<Duration>,
}

impl LimitedSubscription {
    pub(super) fn new(
        connection: Arc<Connection>,
        inner: Box<dyn Subscription>,
        queues: &[QueueName],
    ) -> Self {
        Self {
            connection,
            inner: Some(inner),
            queues: queues.to_vec(),
            fetched: Mutex::default(),
            buffered: Mutex::new(BUFFERED),
        }
    }

    fn inner(&self) -> &dyn Subscription {
        self.inner.as_deref().expect("it is taken by `close` alone")
    }

    fn fetched(&self) -> MutexGuard<'_, HashMap<QueueName, Vec<Delivery>>> {
        self.fetched.lock().expect("nothing panics under the lock")
    }

    fn in_buffer(&self) -> Vec<QueueName> {
        let fetched = self.fetched();
        fetched.iter().filter(|(_, jobs)| !jobs.is_empty()).map(|(queue, _)| queue.clone()).collect()
    }

    async fn fetch(&self, queue: QueueName) -> Result<()> {
        let lease = *self.buffered.lock().expect("nothing panics under the lock");
        let request = Reserve::new(self.connection.limits.fetches_ahead).lease(lease);
        let jobs = self.inner().reserve(&queue, request).await?;
        self.fetched().entry(queue).or_default().extend(jobs);
        Ok(())
    }

    /// What is in the buffer and is still ours.
    async fn take_fetched(&self, queue: &QueueName, request: &Reserve) -> Result<Vec<Delivery>> {
        *self.buffered.lock().expect("nothing panics under the lock") = BUFFERED.min(request.lease / 3);
        let mut jobs = match self.fetched().get_mut(queue) {
            // The last first: a broker's buffer has an order of its own.
            Some(jobs) => jobs.split_off(jobs.len().saturating_sub(request.max_jobs)),
            None => Vec::new(),
        };
        let all: Vec<_> = jobs.iter().collect();
        let answers = self.connection.driver.extend(queue, &all, request.lease).await;
        let mut answers = answers.into_iter().map(|answer| answer.is_ok());
        // One that was not answered `Ok` comes again: its time in the buffer was over.
        jobs.retain(|_| answers.next().unwrap_or(false));
        Ok(jobs)
    }

    fn closed(&self, operation: &'static str) -> Option<Error> {
        self.connection.closed(operation)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Subscription for LimitedSubscription {
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>> {
        if self.connection.limits.fetches_ahead == 0 {
            return self.inner().ready(wait).await;
        }
        let deadline = later(wait);
        loop {
            self.closed("ready").map_or(Ok(()), Err)?;
            let found = self.in_buffer();
            if !found.is_empty() {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let named = self.inner().ready(left).await?;
            if named.is_empty() {
                return Ok(named);
            }
            for queue in named {
                self.fetch(queue).await?;
            }
        }
    }

    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>> {
        let promised = &self.connection.limits.capabilities;
        self.closed("reserve").map_or(Ok(()), Err)?;
        if request.rate_limit.is_some() && !promised.rate_limit.is_yes() {
            return Err(unsupported("rate limit", "none on this connection".into(), "reserve"));
        }
        let mut request = request.lease(rounded_up(request.lease, promised.lease.grain()));
        request.max_jobs = request.max_jobs.min(promised.batch);
        let is_direct = self.connection.limits.fetches_ahead == 0 || !self.queues.contains(queue);
        let mut taken = match is_direct {
            true => self.inner().reserve(queue, request).await?,
            false => self.take_fetched(queue, &request).await?,
        };
        if promised.order == Order::BestEffort && promised.priorities == Priorities::BestEffort {
            taken.reverse();
        }
        let lend = |delivery| self.connection.lend(queue, delivery, request.lease);
        Ok(taken.into_iter().map(lend).collect())
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        let fetched = take(&mut *self.fetched());
        give_back(&*self.connection.driver, fetched).await;
        match self.inner.take() {
            Some(inner) => inner.close().await,
            None => Ok(()),
        }
    }
}

impl Drop for LimitedSubscription {
    fn drop(&mut self) {
        let fetched = take(&mut *self.fetched());
        let Ok(runtime) = Handle::try_current() else { return };
        if !fetched.is_empty() {
            let driver = self.connection.driver.clone();
            runtime.spawn(async move { give_back(&*driver, fetched).await });
        }
    }
}

/// What cannot be given back comes again after its time in the buffer.
async fn give_back(driver: &dyn Driver, fetched: HashMap<QueueName, Vec<Delivery>>) {
    let release = Outcome::Release { after: Duration::ZERO };
    for (queue, jobs) in fetched {
        let settlements: Vec<_> = jobs.iter().map(|job| Settlement::new(job, &release)).collect();
        let _: Vec<Result<()>> = driver.settle(&queue, &settlements).await;
    }
}
