//! The contract between the core and a store.

mod capabilities;
mod dead_letters;
mod delivery;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::*;

pub use capabilities::*;
pub use dead_letters::*;
pub use delivery::*;

/// A connection to a store that keeps jobs.
///
/// It translates, it does not decide: it compares no attempts, computes no backoff, decodes no
/// payload, logs no job failure.
///
/// # The contract
/// Each sentence has a case of the same words in `stream-testkit`.
///
/// *Batches.* Every operation takes many and answers each, answer *i* for item *i*; the driver splits
/// by its store's limits. One refused item never fails its neighbours. A reserve that half failed
/// returns what it took. An empty batch is answered empty.
///
/// *Time.* Durations cross the contract, never timestamps; only the store's clock decides what is due,
/// which lease has ended and what a rate allows.
///
/// *Identity.* A job is the pair of queue and id: ids repeat across queues without harm.
///
/// *Counts.* `attempt` is 1 plus the deliveries ended by `Retry`, `lost` is the deliveries that ended
/// with no outcome. `Release` counts in neither.
///
/// *Fence.* A receipt is good for one delivery. A timed lease that ended but was not taken again is
/// still good where the fence is `Exact`. A receipt of an earlier delivery is answered `LeaseLost` and
/// changes nothing, whichever the outcome.
///
/// *Groups.* Where they are promised at most one job of a group is in flight, and one that is retried,
/// released or lost goes before the others of its group.
///
/// *Undecodable.* Bytes that are no envelope are delivered as `Undecodable`, not dropped; bury and
/// dead-letter retry keep them untouched.
///
/// *Dropped futures.* Any future may be dropped at any point: what was pushed or taken is done or not
/// done, never half done; what was taken comes back after its lease.
#[async_trait]
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// A short name for errors and logs, such as `redis`.
    fn name(&self) -> &'static str;

    /// What this connection promises; no I/O.
    fn capabilities(&self) -> Capabilities;

    /// Stores jobs, each with its own answer.
    ///
    /// A job whose id the queue holds, waiting, reserved or dead, is not stored again and answered
    /// `AlreadyStored`, where `Capabilities::repeated_push` says so; elsewhere a repeated push may
    /// double the job, never lose it. The id of a finished job is forgotten. A job whose unique key a
    /// waiting or reserved job holds is not stored and answered `Duplicate` with that job's id. A
    /// `Stored` job survives what the connection's durability settings promise.
    ///
    /// # Errors
    /// `Unavailable`: not stored. `OutcomeUnknown`: perhaps stored, push it again.
    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>>;

    /// Opens a consumer's place at these queues, be they there or not.
    ///
    /// # Errors
    /// `Config` for no queues; `Unavailable` if the store must be asked and is away.
    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>>;

    /// Ends deliveries; the only verb that does.
    ///
    /// Where the store can, each is one atomic step. Where it must copy, it proves the receipt, writes
    /// the copy, awaits the confirm and removes the original last: a crash duplicates, never loses. Of
    /// several settlements of one delivery in a batch exactly one is answered `Ok`. `Retry` and
    /// `Release` make the job ready not before `after`. If the dead letter cannot be written the job
    /// stays. `Done` and `Bury` free the unique key; `Done`, `Bury` and `clear` let the next job of a
    /// group go.
    ///
    /// # Errors
    /// `LeaseLost`: the delivery is over, nothing was changed. `OutcomeUnknown`: settle it again;
    /// `LeaseLost` then says that the first call had done it or the job was taken over.
    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>>;

    /// Makes leases end `lease` from now; never blocks on what the handler has locked.
    ///
    /// # Errors
    /// `LeaseLost` for a delivery that is over.
    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>>;

    /// False once the driver knows that the receipt is dead; no I/O.
    ///
    /// The end of a timed lease is no such knowledge where the fence is `Exact`: until somebody takes
    /// the job again its outcome counts.
    fn is_current(&self, delivery: &Delivery) -> bool;

    /// How many jobs the queue holds; `Capabilities::depth` says how true that is.
    async fn depth(&self, queue: &QueueName) -> Result<Depth>;

    /// Removes the waiting jobs; those reserved and dead are kept.
    ///
    /// A job whose lease has ended counts as waiting, as in `depth`. A reserved job that is retried or
    /// released after a `clear` waits as usual.
    async fn clear(&self, queue: &QueueName) -> Result<Cleared>;

    /// Judges server, schema, settings and permissions; empty if all is well.
    async fn check(&self) -> Result<Vec<Finding>>;

    /// Ends the connection; later calls are answered `Unavailable`.
    async fn close(&self) -> Result<()>;

    /// The dead letters, if this connection can read them.
    fn dead_letters(&self) -> Option<&dyn DeadLetterStore>;
}

/// A consumer's place at some queues.
#[async_trait]
pub trait Subscription: Send + Sync {
    /// Waits until a reserve may find work, and says on which queues; takes nothing.
    ///
    /// Resolves for a push, a due job, an ended lease, a permit of a rate limit that had refused, a
    /// delivery in the driver's own buffer; or with nothing after `wait`. A zero `wait` asks the store
    /// once. It may name an empty queue, but leave out none that has work, but for the store's
    /// documented grain. A queue that was cut by its limit is not named before a permit may be free.
    ///
    /// # Cancel safety
    /// Dropping it loses no wake: the next call answers what it had learnt.
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>>;

    /// Takes up to `max_jobs` ready jobs, the most urgent first; never waits for work.
    ///
    /// Each is leased for `lease`, rounded up to the grain; of the ended leases only as many are taken
    /// back as are returned. With a rate limit at most `limit` jobs are taken in any `window`, by all
    /// processes together that name a limit for this queue; an empty queue spends no permit.
    ///
    /// # Errors
    /// `Config` for a queue that was not subscribed to. Nothing was taken if there is an error, but for
    /// `OutcomeUnknown`: what was taken then comes back after its lease, `lost` one more.
    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>>;

    /// Gives back at once what was fetched and not returned; what was returned stays valid.
    ///
    /// A drop does the same as best it can. Other subscriptions are not disturbed.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// The jobs that were given up on.
#[async_trait]
pub trait DeadLetterStore: Send + Sync {
    /// Up to `limit` letters, the oldest first, from behind `after`, be it there still or not.
    async fn list(
        &self,
        queue: &QueueName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>>;

    /// Makes one ready again with attempt 1, lost 0 and its last error.
    ///
    /// False if there is no such letter, or a waiting job holds its unique key: the letter stays.
    async fn retry(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool>;

    /// Retries the letters there are now; says how many went.
    async fn retry_all(&self, queue: &QueueName) -> Result<u64>;

    /// Removes one for good; false if there is no such letter.
    async fn remove(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool>;

    /// Removes all for good; says how many went.
    async fn clear(&self, queue: &QueueName) -> Result<u64>;

    /// How many there are.
    async fn count(&self, queue: &QueueName) -> Result<u64>;
}

/// What became of a pushed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pushed {
    /// New in the queue.
    Stored(JobId),
    /// A job with this id was there.
    AlreadyStored(JobId),
    /// Not stored: the job with this id holds the unique key.
    Duplicate(JobId),
}

impl Pushed {
    /// The job that is in the queue.
    pub fn id(self) -> JobId {
        let (Self::Stored(id) | Self::AlreadyStored(id) | Self::Duplicate(id)) = self;
        id
    }
}

/// Limits of one `reserve`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Reserve {
    /// At least 1.
    pub max_jobs: usize,
    /// How long each is leased; 30 seconds unless set.
    pub lease: Duration,
    /// Over all processes.
    pub rate_limit: Option<RateLimit>,
}

impl Reserve {
    /// Up to `max_jobs` jobs for 30 seconds.
    pub const fn new(max_jobs: usize) -> Self {
        Self { max_jobs, lease: Duration::from_secs(30), rate_limit: None }
    }

    /// Sets the lease.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets the rate limit.
    #[must_use]
    pub const fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }
}

/// At most `limit` starts in any `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// At least 1.
    pub limit: u32,
    /// Above zero, at most [`LONGEST`].
    pub window: Duration,
}

impl RateLimit {
    /// At most `limit` starts in any `window`.
    pub const fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window }
    }

    /// At most `limit` starts in any second.
    pub const fn per_second(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(1))
    }

    /// At most `limit` starts in any minute.
    pub const fn per_minute(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(60))
    }
}

/// How many jobs a queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Depth {
    /// Can be taken now; ended leases count here.
    pub ready: u64,
    /// Wait for their time.
    pub delayed: u64,
    /// Are leased.
    pub reserved: u64,
    /// Dead letters, where counting them is cheap.
    pub dead: Option<u64>,
}

impl Depth {
    /// Without the dead.
    pub fn new(ready: u64, delayed: u64, reserved: u64) -> Self {
        Self { ready, delayed, reserved, dead: None }
    }
}

/// What a `clear` removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleared {
    /// How many, where known.
    pub waiting: Option<u64>,
    /// Whether the delayed jobs went too.
    pub delayed_too: bool,
}

impl Cleared {
    /// All waiting jobs.
    pub fn all(waiting: Option<u64>) -> Self {
        Self { waiting, delayed_too: true }
    }

    /// The ready jobs; delayed ones still come.
    pub fn ready_only(waiting: Option<u64>) -> Self {
        Self { waiting, delayed_too: false }
    }
}

/// What the owner should know or change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Jobs can be lost, or the queue cannot work.
    pub severe: bool,
    /// What was found.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// Jobs can be lost, or the queue cannot work.
    pub fn severe(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severe: true, what: what.into(), remedy: remedy.into() }
    }

    /// Worth knowing.
    pub fn advice(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severe: false, what: what.into(), remedy: remedy.into() }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<D: Driver + ?Sized> Driver for Arc<D> {
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        (**self).push(queue, jobs).await
    }
    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        (**self).subscribe(queues).await
    }
    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        (**self).settle(queue, settlements).await
    }
    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        (**self).extend(queue, deliveries, lease).await
    }
    fn is_current(&self, delivery: &Delivery) -> bool {
        (**self).is_current(delivery)
    }
    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        (**self).depth(queue).await
    }
    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        (**self).clear(queue).await
    }
    async fn check(&self) -> Result<Vec<Finding>> {
        (**self).check().await
    }
    async fn close(&self) -> Result<()> {
        (**self).close().await
    }
    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        (**self).dead_letters()
    }
}
