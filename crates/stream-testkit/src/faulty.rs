//! A driver around a driver that fails as told by a seed, before or after the inner call.

mod faults;
mod injector;

use std::{fmt, sync::Arc, time::Duration};

use stream_core::{
    Capabilities, Cleared, DeadLetter, DeadLetterId, DeadLetterStore, Delivery, Depth, Driver, Error,
    Finding, NewJob, Pushed, QueueName, Reserve, Result, Settlement, Subscription, async_trait,
};

pub use faults::{Faults, Operation, Side};
use injector::{Injector, Mode};

/// A driver around a driver that fails as told by a seed; clones share everything.
///
/// A fault strikes a call either before the inner call (`Unavailable`: certainly not applied) or after
/// it (`OutcomeUnknown`: applied, the answer is lost). A batch fails as a whole; where the inner driver
/// refused an item, that answer stays. `close` and what answers without I/O never fail. Calls may be made
/// slow as well, so that they can be dropped before and after the inner call.
///
/// A test keeps a clone as its handle and gives another to the code under test. While the test panics
/// the handle prints its seed.
///
/// ```
/// # use std::sync::Arc;
/// # use stream_core::{Driver, QueueManager};
/// use stream_testkit::faulty::{Faults, Faulty};
///
/// # fn example(driver: Arc<dyn Driver>) {
/// let faulty = Faulty::new(driver, Faults::new(7).push(0.2).reserve(0.1));
/// let queue = QueueManager::new(faulty.clone());
/// // ... work, then let the test drain what is left:
/// faulty.calm();
/// # drop(queue);
/// # }
/// ```
#[derive(Clone)]
pub struct Faulty {
    driver: Arc<dyn Driver>,
    injector: Arc<Injector>,
    dead_letters: FaultyDeadLetters,
}

impl Faulty {
    /// Wraps a driver.
    pub fn new(driver: Arc<dyn Driver>, faults: Faults) -> Self {
        let injector = Arc::new(Injector::new(driver.name(), faults));
        let dead_letters = FaultyDeadLetters { driver: driver.clone(), injector: injector.clone() };
        Self { driver, injector, dead_letters }
    }

    /// From now on only planned faults strike, so that a test can drain.
    pub fn calm(&self) {
        self.injector.set_mode(Mode::Calm);
    }

    /// From now on every call fails before it is made, as if the store were down.
    pub fn down(&self) {
        self.injector.set_mode(Mode::Down);
    }

    /// From now on faults are drawn from the seed again, as at the beginning.
    pub fn resume(&self) {
        self.injector.set_mode(Mode::Seeded);
    }

    /// The next `times` calls of an operation fail on this side, whatever the seed says, also when calm.
    pub fn fail_next(&self, operation: Operation, side: Side, times: usize) {
        self.injector.plan(operation, side, times);
    }

    /// How many calls of an operation were made to fail on this side.
    pub fn injected(&self, operation: Operation, side: Side) -> u64 {
        self.injector.count(operation, side)
    }

    /// How many calls were made to fail in all.
    pub fn injected_in_all(&self) -> u64 {
        let both = |operation| self.injected(operation, Side::Before) + self.injected(operation, Side::After);
        Operation::ALL.into_iter().map(both).sum()
    }

    /// How many calls of an operation there were, failed ones included.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.injector.calls(operation)
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("driver", &self.driver).field("injector", &self.injector).finish()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.injector.announce_while_panicking();
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Driver for Faulty {
    fn name(&self) -> &'static str {
        self.driver.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        self.injector.batch(Operation::Push, Some(queue), jobs.len(), self.driver.push(queue, jobs)).await
    }

    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        // Nobody can hold a place whose answer was lost: it is dropped, so nothing was applied.
        let inner = match self.injector.draw(Operation::Subscribe, None) {
            None => self.driver.subscribe(queues).await?,
            Some(Side::Before) => return Err(self.injector.unavailable(Operation::Subscribe)),
            Some(Side::After) => {
                self.driver.subscribe(queues).await?.close().await?;
                return Err(self.injector.unavailable(Operation::Subscribe));
            }
        };
        Ok(Box::new(FaultySubscription { inner, queues: queues.to_vec(), injector: self.injector.clone() }))
    }

    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        let call = self.driver.settle(queue, settlements);
        self.injector.batch(Operation::Settle, Some(queue), settlements.len(), call).await
    }

    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        let call = self.driver.extend(queue, deliveries, lease);
        self.injector.batch(Operation::Extend, Some(queue), deliveries.len(), call).await
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        self.driver.is_current(delivery)
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        self.injector.read(Operation::Depth, Some(queue), self.driver.depth(queue)).await
    }

    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        self.injector.write(Operation::Clear, Some(queue), self.driver.clear(queue)).await
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.injector.read(Operation::Check, None, self.driver.check()).await
    }

    async fn close(&self) -> Result<()> {
        self.driver.close().await
    }

    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        self.driver.dead_letters().map(|_| &self.dead_letters as &dyn DeadLetterStore)
    }
}

struct FaultySubscription {
    inner: Box<dyn Subscription>,
    queues: Vec<QueueName>,
    injector: Arc<Injector>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Subscription for FaultySubscription {
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>> {
        self.injector.slow().await;
        match self.injector.draw(Operation::Ready, None) {
            None => self.inner.ready(wait).await,
            Some(Side::Before) => Err(self.injector.unavailable(Operation::Ready)),
            // It takes nothing, so that no wake can be lost: the inner call is not even made.
            Some(Side::After) => Ok(self.queues.clone()),
        }
    }

    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>> {
        self.injector.write(Operation::Reserve, Some(queue), self.inner.reserve(queue, request)).await
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.inner.close().await
    }
}

#[derive(Clone)]
struct FaultyDeadLetters {
    driver: Arc<dyn Driver>,
    injector: Arc<Injector>,
}

impl FaultyDeadLetters {
    fn inner(&self) -> Result<&dyn DeadLetterStore> {
        let gone = || Error::new(stream_core::ErrorKind::Unexpected, self.injector.name, "dead letters");
        self.driver.dead_letters().ok_or_else(gone)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DeadLetterStore for FaultyDeadLetters {
    async fn list(
        &self,
        queue: &QueueName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        self.injector.read(Operation::DeadLetters, Some(queue), self.inner()?.list(queue, after, limit)).await
    }

    async fn retry(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.injector.write(Operation::DeadLetters, Some(queue), self.inner()?.retry(queue, id)).await
    }

    async fn retry_all(&self, queue: &QueueName) -> Result<u64> {
        self.injector.write(Operation::DeadLetters, Some(queue), self.inner()?.retry_all(queue)).await
    }

    async fn remove(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.injector.write(Operation::DeadLetters, Some(queue), self.inner()?.remove(queue, id)).await
    }

    async fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.injector.write(Operation::DeadLetters, Some(queue), self.inner()?.clear(queue)).await
    }

    async fn count(&self, queue: &QueueName) -> Result<u64> {
        self.injector.read(Operation::DeadLetters, Some(queue), self.inner()?.count(queue)).await
    }
}
