//! The driver: each verb locks the file, reads what others wrote, changes, appends, unlocks.

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use stream_core::{
    Capabilities, Cleared, DeadLetter, DeadLetterId, DeadLetterStore, DelaySupport, Delivery, Depth, Driver,
    Error, ErrorKind, Finding, NewJob, Pushed, QueueName, Reserve, Result, Settlement, Subscription, Support,
    async_trait,
};
use tokio::time::{Instant, sleep};

use super::{
    log::Log,
    state::{EndLetter, State},
};

/// How often a waiting consumer looks at the file.
const POLL: Duration = Duration::from_millis(5);
const GRAIN: Duration = Duration::from_millis(1);
const PUSH_DELAY_MAX: Duration = Duration::from_secs(15 * 60);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(60 * 60);
const ENVELOPE_BYTES_MAX: usize = 256 * 1024;

/// A connection; clones share it.
#[derive(Clone)]
pub(crate) struct Toy {
    // Held for one verb, never across an await; none once the connection is closed.
    store: Arc<Mutex<Option<Store>>>,
}

struct Store {
    log: Log,
    state: State,
}

impl Toy {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let log = Log::open(path).map_err(|error| unavailable("connect", error))?;
        let store = Store { log, state: State::default() };
        Ok(Self { store: Arc::new(Mutex::new(Some(store))) })
    }

    pub(crate) fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        self.verb("inject", |state| state.inject(queue, bytes))
    }

    /// One verb: everything in it happens at once for all processes.
    fn verb<T>(&self, operation: &'static str, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        let mut store = self.store.lock().expect("no verb panics");
        let store = store.as_mut().ok_or_else(|| closed(operation))?;
        store.transact(change).map_err(|error| unavailable(operation, error))
    }

    fn batch<T>(
        &self,
        operation: &'static str,
        items: usize,
        change: impl FnOnce(&mut State) -> Vec<Result<T>>,
    ) -> Vec<Result<T>> {
        let answers = self.verb(operation, change);
        answers.unwrap_or_else(|error| (0..items).map(|_| Err(error.clone())).collect())
    }

    fn look<T>(&self, operation: &'static str, look: impl FnOnce(&State) -> T) -> Result<T> {
        let mut store = self.store.lock().expect("no verb panics");
        let store = store.as_mut().ok_or_else(|| closed(operation))?;
        store.catch_up().map_err(|error| unavailable(operation, error))?;
        Ok(look(&store.state))
    }
}

impl Store {
    fn catch_up(&mut self) -> io::Result<()> {
        match self.log.has_grown()? {
            true => self.transact(|_| ()),
            false => Ok(()),
        }
    }

    fn transact<T>(&mut self, change: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        self.log.lock()?;
        let answer = self.transact_locked(change);
        self.log.unlock()?;
        answer
    }

    fn transact_locked<T>(&mut self, change: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        for change in self.log.read_tail()? {
            self.state.apply(change);
        }
        let answer = change(&mut self.state);
        let changes = std::mem::take(&mut self.state.unwritten);
        if let Err(error) = self.log.append(&changes) {
            // What is not in the file has not happened: the next verb reads it from the beginning.
            self.state = State::default();
            self.log.rewind();
            return Err(error);
        }
        Ok(answer)
    }
}

impl fmt::Debug for Toy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The store in memory holds payloads.
        f.debug_struct("Toy").finish_non_exhaustive()
    }
}

fn unavailable(operation: &'static str, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "toy", operation).caused_by(error)
}

fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, "toy", operation).explained("the connection was closed")
}

#[async_trait]
impl Driver for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn capabilities(&self) -> Capabilities {
        let mut promised = Capabilities::full(ENVELOPE_BYTES_MAX);
        promised.push_delay = DelaySupport::UpTo { max: PUSH_DELAY_MAX, grain: GRAIN };
        promised.retry_delay = DelaySupport::UpTo { max: RETRY_DELAY_MAX, grain: GRAIN };
        promised.rate_limit = Support::No;
        promised.routing = Support::No;
        promised.groups = Support::No;
        promised.unique = Support::No;
        promised
    }

    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        self.batch("push", jobs.len(), |state| jobs.iter().map(|job| Ok(state.push(queue, job))).collect())
    }

    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        if queues.is_empty() {
            return Err(
                Error::new(ErrorKind::Config, "toy", "subscribe").explained("name at least one queue")
            );
        }
        self.look("subscribe", |_| ())?;
        Ok(Box::new(Place { toy: self.clone(), queues: queues.to_vec() }))
    }

    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        self.batch("settle", settlements.len(), |state| {
            settlements.iter().map(|it| state.settle(queue, it.delivery, it.outcome)).collect()
        })
    }

    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        self.batch("extend", deliveries.len(), |state| {
            deliveries.iter().map(|delivery| state.extend(queue, delivery, lease)).collect()
        })
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        let store = self.store.lock().expect("no verb panics");
        store.as_ref().is_none_or(|store| store.state.may_be_current(delivery))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        self.look("depth", |state| state.depth(queue))
    }

    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        self.verb("clear", |state| Cleared::all(Some(state.clear(queue))))
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.look("check", |_| Vec::new())
    }

    async fn close(&self) -> Result<()> {
        *self.store.lock().expect("no verb panics") = None;
        Ok(())
    }

    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        Some(self)
    }
}

#[async_trait]
impl DeadLetterStore for Toy {
    async fn list(
        &self,
        queue: &QueueName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        self.look("list", |state| state.letters(queue, after).into_iter().take(limit).collect())
    }

    async fn retry(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.verb("retry", |state| state.end_letter(queue, id, EndLetter::Retry))
    }

    async fn retry_all(&self, queue: &QueueName) -> Result<u64> {
        self.verb("retry all", |state| end_all(state, queue, EndLetter::Retry))
    }

    async fn remove(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.verb("remove", |state| state.end_letter(queue, id, EndLetter::Remove))
    }

    async fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.verb("clear", |state| end_all(state, queue, EndLetter::Remove))
    }

    async fn count(&self, queue: &QueueName) -> Result<u64> {
        self.look("count", |state| state.letters(queue, None).len() as u64)
    }
}

fn end_all(state: &mut State, queue: &QueueName, how: EndLetter) -> u64 {
    let letters = state.letters(queue, None);
    letters.iter().filter(|letter| state.end_letter(queue, &letter.id, how)).count() as u64
}

/// A consumer's place; it holds nothing, so that closing it has nothing to give back.
struct Place {
    toy: Toy,
    queues: Vec<QueueName>,
}

#[async_trait]
impl Subscription for Place {
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>> {
        let deadline = Instant::now().checked_add(wait);
        loop {
            let ready =
                |state: &State| self.queues.iter().filter(|it| state.has_ready(it)).cloned().collect();
            let named: Vec<_> = self.toy.look("ready", ready)?;
            let left = deadline.map_or(POLL, |deadline| deadline.saturating_duration_since(Instant::now()));
            if !named.is_empty() || left.is_zero() {
                return Ok(named);
            }
            sleep(POLL.min(left)).await;
        }
    }

    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>> {
        if !self.queues.contains(queue) {
            return Err(Error::new(ErrorKind::Config, "toy", "reserve").explained("it was not subscribed to"));
        }
        self.toy.verb("reserve", |state| state.take(queue, &request))
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
