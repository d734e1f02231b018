//! For tests of programs: a driver around a driver that remembers what was pushed.

mod found;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde::de::DeserializeOwned;
use stream_core::{
    Capabilities, Cleared, DeadLetterStore, Delivery, Depth, Driver, Finding, Job, NewJob, Pushed, QueueName,
    Result, Settlement, Subscription, async_trait,
};

pub use found::Found;

/// A driver around a driver that remembers every job that it stored; clones share what they remember.
///
/// A test keeps a clone and gives another to the program. What the inner driver refused, and a
/// repeated push that stored nothing, is not remembered. Everything else is passed on, so that the
/// jobs can be worked as well: [`Consumer::drain_all`](stream_core::ConsumerBuilder::drain_all) runs
/// until the queues are empty, and under tokio's paused clock the memory driver passes an hour's delay
/// at once. [`Context::for_test`](stream_core::Context::for_test) is for a handler alone.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use serde::{Deserialize, Serialize};
/// # use stream_core::{Draft, Driver, Job, QueueManager, Result};
/// # #[derive(Debug, Serialize, Deserialize)] struct Welcome { user: u64 }
/// # impl Job for Welcome { const NAME: &'static str = "welcome"; }
/// use stream_testkit::recording::Recording;
///
/// # async fn example(driver: Arc<dyn Driver>) -> Result<()> {
/// let pushes = Recording::new(driver);
/// let queue = QueueManager::new(pushes.clone());
///
/// queue.push(Welcome { user: 7 }).on_queue("emails").delay(Duration::from_secs(60)).await?;
///
/// let welcome = pushes.of::<Welcome>().on_queue("emails").delayed_by(Duration::from_secs(60)).one();
/// assert_eq!(welcome.user, 7);
/// pushes.of::<Welcome>().matching(|job| job.user == 8).none();
///
/// let resize = Draft::named("resize", &("cat.png", 640)).group("cats").header("tenant", "7");
/// queue.push(resize).await?;
/// let (file, _) = pushes.named::<(String, u32)>("resize").in_group("cats").with_header("tenant", "7").one();
/// assert_eq!(file, "cat.png");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Recording {
    driver: Arc<dyn Driver>,
    stored: Arc<Mutex<Vec<Stored>>>,
}

/// A job as it was pushed, and where to.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) queue: QueueName,
    pub(crate) job: NewJob,
}

impl Recording {
    /// Wraps a driver.
    pub fn new(driver: Arc<dyn Driver>) -> Self {
        Self { driver, stored: Arc::default() }
    }

    /// The jobs of a type that were stored, in the order of their pushes.
    ///
    /// # Panics
    /// If the payload of a job of this name is no `J`.
    #[track_caller]
    pub fn of<J: Job>(&self) -> Found<J> {
        self.named(J::NAME)
    }

    /// The jobs that were pushed by this name, such as [`Draft::named`](stream_core::Draft::named), as
    /// what their payload is.
    ///
    /// # Panics
    /// If the payload of a job of this name is no `T`.
    #[track_caller]
    pub fn named<T: DeserializeOwned>(&self, name: &str) -> Found<T> {
        let found = self.stored_as(name).into_iter();
        let typed = found.map(|stored| match stored.job.envelope.decode() {
            Ok(job) => (stored, job),
            Err(error) => panic!("a pushed job cannot be read: {error}"),
        });
        Found::new(name, typed.collect())
    }

    /// The jobs that were pushed by this name, such as [`Draft::raw`](stream_core::Draft::raw), as the
    /// bytes of their payload.
    pub fn raw(&self, name: &str) -> Found<Vec<u8>> {
        let found = self.stored_as(name).into_iter();
        Found::new(name, found.map(|stored| (stored.clone(), stored.job.envelope.payload)).collect())
    }

    /// How many jobs of any type were stored.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Forgets what was pushed so far; the jobs stay in their queues.
    pub fn forget(&self) {
        self.lock().clear();
    }

    fn stored_as(&self, name: &str) -> Vec<Stored> {
        self.lock().iter().filter(|stored| stored.job.envelope.name == name).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stored>> {
        // A predicate of a test may panic, but never under this lock.
        self.stored.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("driver", &self.driver).field("count", &self.count()).finish()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Driver for Recording {
    fn name(&self) -> &'static str {
        self.driver.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        let answers = self.driver.push(queue, jobs).await;
        let stored = answers.iter().zip(jobs).filter(|(answer, _)| matches!(answer, Ok(Pushed::Stored(_))));
        self.lock().extend(stored.map(|(_, job)| Stored { queue: queue.clone(), job: job.clone() }));
        answers
    }

    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        self.driver.subscribe(queues).await
    }

    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        self.driver.settle(queue, settlements).await
    }

    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        self.driver.extend(queue, deliveries, lease).await
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        self.driver.is_current(delivery)
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        self.driver.depth(queue).await
    }

    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        self.driver.clear(queue).await
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.driver.check().await
    }

    async fn close(&self) -> Result<()> {
        self.driver.close().await
    }

    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        self.driver.dead_letters()
    }
}
