//! What a case works with: a driver, a queue of its own, and short ways to the usual steps.

mod letters;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    process, slice,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use stream_core::{
    Capabilities, Codec, Counts, Delivery, Depth, Driver, Envelope, Error, ErrorKind, JobId, LeaseSupport,
    NewJob, Outcome, Precision, Pushed, QueueManager, QueueName, Reserve, Result, Settlement, Subscription,
    Support,
};
use tokio::time::{Instant, timeout_at};

use crate::Backend;

/// What a case works with: a driver, a queue of its own, and short ways to the usual steps.
///
/// The short ways panic on an error, since a case that meets one has failed.
#[derive(Debug, Clone)]
pub struct Stage {
    backend: Arc<dyn Backend>,
    driver: Arc<dyn Driver>,
    queue: QueueName,
    used: Arc<Mutex<Vec<QueueName>>>,
}

/// How long an event may take that is awaited: "not later" allows 5 seconds.
pub const NOT_LATER: Duration = Duration::from_secs(5);
/// The lease of most cases: real, and short enough to wait for.
pub const LEASE: Duration = Duration::from_millis(400);

/// A lease that outlives the case, so that a slow machine changes nothing.
pub const LONG_LEASE: Duration = Duration::from_secs(60);
/// How long a job must not come before it counts as gone, where the depth is an estimate.
const ABSENCE: Duration = Duration::from_secs(1);

impl Stage {
    pub(crate) async fn new(backend: Arc<dyn Backend>) -> Self {
        let driver = backend.connect().await.expect("the backend connects");
        let queue = fresh_name();
        Self { backend, driver, used: Arc::new(Mutex::new(vec![queue.clone()])), queue }
    }

    /// The connection of this case.
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    /// What the connection promises.
    pub fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    /// The queue of this case.
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// The lease of most cases, or the shortest that the connection keeps.
    pub fn lease(&self) -> Duration {
        LEASE.max(self.capabilities().lease.grain())
    }

    /// Whether the store's clock ends leases.
    pub fn has_timed_leases(&self) -> bool {
        matches!(self.capabilities().lease, LeaseSupport::Timed { .. })
    }

    /// Another connection to the same store, working the same queue.
    pub async fn elsewhere(&self) -> Self {
        let driver = self.backend.connect().await.expect("the backend connects again");
        Self { driver, ..self.clone() }
    }

    /// The same connection, working another fresh queue.
    pub fn another_queue(&self) -> Self {
        self.on(fresh_name())
    }

    /// The same connection, working the queue of this name; it is emptied at the end of the case.
    pub fn on(&self, queue: QueueName) -> Self {
        self.used.lock().expect("never poisoned").push(queue.clone());
        Self { queue, ..self.clone() }
    }

    /// Puts raw bytes into the queue.
    pub async fn inject(&self, bytes: Vec<u8>) {
        self.backend.inject(&self.queue, bytes).await.expect("bytes are injected");
    }

    /// Pushes jobs; the answers.
    pub async fn try_push(&self, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        self.driver.push(&self.queue, jobs).await
    }

    /// Pushes jobs; each must be stored.
    pub async fn push(&self, jobs: &[NewJob]) {
        let answers = self.try_push(jobs).await;
        assert_eq!(answers.len(), jobs.len(), "one answer for each job");
        for (answer, job) in answers.iter().zip(jobs) {
            assert_eq!(answer.as_ref().expect("stored"), &Pushed::Stored(job.envelope.id));
        }
    }

    /// Pushes `count` plain jobs; the jobs, in their order.
    pub async fn push_plain(&self, count: usize) -> Vec<NewJob> {
        let jobs = plain_jobs(count);
        self.push(&jobs).await;
        jobs
    }

    /// A subscription to the queue.
    pub async fn subscribe(&self) -> Box<dyn Subscription> {
        self.driver.subscribe(slice::from_ref(&self.queue)).await.expect("subscribed")
    }

    /// Takes up to `max_jobs` of what is ready now; none if nothing is.
    pub async fn take_now(&self, subscription: &dyn Subscription, max_jobs: usize) -> Vec<Delivery> {
        let request = Reserve::new(max_jobs).lease(self.lease());
        let taken = subscription.reserve(&self.queue, request).await.expect("reserved");
        if !taken.is_empty() || subscription.ready(Duration::ZERO).await.expect("ready answers").is_empty() {
            return taken;
        }
        subscription.reserve(&self.queue, request).await.expect("reserved")
    }

    /// Waits until exactly `count` jobs were taken by `request`, each call for what is still missing.
    pub async fn take_as(
        &self,
        subscription: &dyn Subscription,
        count: usize,
        request: Reserve,
    ) -> Vec<Delivery> {
        let deadline = Instant::now() + NOT_LATER;
        let mut taken = Vec::new();
        while taken.len() < count {
            let mut missing = request;
            missing.max_jobs = count - taken.len();
            let more = subscription.reserve(&self.queue, missing).await.expect("reserved");
            if more.is_empty() {
                let wait = subscription.ready(NOT_LATER);
                let answer = timeout_at(deadline, wait).await;
                let found = taken.len();
                answer
                    .unwrap_or_else(|_| panic!("only {found} of {count} jobs came"))
                    .expect("ready answers");
                assert!(Instant::now() < deadline, "only {found} of {count} jobs came");
            }
            taken.extend(more);
        }
        taken
    }

    /// Waits until `count` jobs were taken on the lease of most cases.
    pub async fn take(&self, subscription: &dyn Subscription, count: usize) -> Vec<Delivery> {
        self.take_as(subscription, count, Reserve::new(count).lease(self.lease())).await
    }

    /// Waits until `count` jobs were taken on a lease that outlives the case.
    pub async fn hold(&self, subscription: &dyn Subscription, count: usize) -> Vec<Delivery> {
        self.take_as(subscription, count, Reserve::new(count).lease(LONG_LEASE)).await
    }

    /// What one call takes after work was found, on a lease that outlives the case.
    pub async fn hold_up_to(&self, subscription: &dyn Subscription, max_jobs: usize) -> Vec<Delivery> {
        subscription.ready(NOT_LATER).await.expect("ready answers");
        let request = Reserve::new(max_jobs).lease(LONG_LEASE);
        subscription.reserve(&self.queue, request).await.expect("reserved")
    }

    /// Waits until one job was taken on a lease that outlives the case.
    pub async fn hold_one(&self, subscription: &dyn Subscription) -> Delivery {
        self.hold(subscription, 1).await.remove(0)
    }

    /// Whatever comes within `span`.
    pub async fn whatever_comes(&self, subscription: &dyn Subscription, span: Duration) -> Vec<Delivery> {
        let deadline = Instant::now() + span;
        let request = Reserve::new(100).lease(LONG_LEASE);
        let mut taken = Vec::new();
        while Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            subscription.ready(left).await.expect("ready answers");
            taken.extend(subscription.reserve(&self.queue, request).await.expect("reserved"));
        }
        taken
    }

    /// Waits for one job.
    pub async fn take_one(&self, subscription: &dyn Subscription) -> Delivery {
        self.take(subscription, 1).await.remove(0)
    }

    /// Ends one delivery; the answer.
    pub async fn try_settle(&self, delivery: &Delivery, outcome: Outcome) -> Result<()> {
        let mut answers = self.driver.settle(&self.queue, &[Settlement::new(delivery, &outcome)]).await;
        assert_eq!(answers.len(), 1, "one answer for one settlement");
        answers.remove(0)
    }

    /// Ends one delivery.
    pub async fn settle(&self, delivery: &Delivery, outcome: Outcome) {
        self.try_settle(delivery, outcome).await.expect("settled");
    }

    /// Ends deliveries with one outcome, in one call; the answers.
    pub async fn try_settle_all(&self, deliveries: &[Delivery], outcome: &Outcome) -> Vec<Result<()>> {
        let settlements: Vec<_> = deliveries.iter().map(|it| Settlement::new(it, outcome)).collect();
        self.driver.settle(&self.queue, &settlements).await
    }

    /// Ends deliveries as done, in one call.
    pub async fn finish(&self, deliveries: &[Delivery]) {
        let answers = self.try_settle_all(deliveries, &Outcome::Done).await;
        assert_eq!(answers.len(), deliveries.len(), "one answer for each settlement");
        answers.into_iter().for_each(|answer| answer.expect("settled"));
    }

    /// Takes and ends jobs until each of these was ended once, and finds no other.
    ///
    /// Where a repeated push is not recognised a job may come twice, and is ended twice.
    pub async fn finish_each(&self, subscription: &dyn Subscription, jobs: &[NewJob]) {
        let expected = job_ids(jobs);
        let mut ended = Vec::new();
        while !expected.iter().all(|id| ended.contains(id)) {
            let delivery = self.hold_one(subscription).await;
            ended.push(delivery.id().expect("an id"));
            self.settle(&delivery, Outcome::Done).await;
        }
        if self.capabilities().repeated_push.is_yes() {
            ended.sort();
            assert_eq!(ended, expected, "the jobs that came");
            self.assert_empty(subscription).await;
        }
    }

    /// What the push of a job is answered whose id the queue holds.
    pub fn answer_to_repeated(&self, job: &NewJob) -> Pushed {
        match self.capabilities().repeated_push {
            Support::Yes => Pushed::AlreadyStored(job.envelope.id),
            Support::No => Pushed::Stored(job.envelope.id),
        }
    }

    /// Extends one lease; the answer.
    pub async fn try_extend(&self, delivery: &Delivery, lease: Duration) -> Result<()> {
        let mut answers = self.driver.extend(&self.queue, &[delivery], lease).await;
        assert_eq!(answers.len(), 1, "one answer for one delivery");
        answers.remove(0)
    }

    /// The depth of the queue.
    pub async fn depth(&self) -> Depth {
        self.driver.depth(&self.queue).await.expect("depth answers")
    }

    /// The connection, as a program uses it.
    pub fn manager(&self) -> QueueManager {
        QueueManager::new(self.driver.clone())
    }

    /// Asserts that the core refuses a job that asks for what the connection does not promise.
    pub fn assert_unsupported(&self, job: &NewJob) {
        let refused = self.capabilities().allows(job).expect_err("the job is refused");
        assert!(matches!(refused.kind(), ErrorKind::Unsupported { .. }), "{refused}");
    }

    /// Asserts that no job comes within `span`.
    pub async fn assert_nothing_comes(&self, subscription: &dyn Subscription, span: Duration) {
        let taken = self.whatever_comes(subscription, span).await;
        assert_eq!(taken.len(), 0, "jobs came that may not");
    }

    /// Asserts the two counts of a delivery, as far as the connection keeps them apart.
    pub fn assert_counts(&self, delivery: &Delivery, attempt: u32, lost: u32) {
        let found = (delivery.attempt, delivery.lost);
        match self.capabilities().counts {
            Counts::Exact => assert_eq!(found, (attempt, lost), "attempt and lost"),
            Counts::UnstartedMayCount => {
                assert_eq!(found.0, attempt, "attempt");
                assert!(found.1 >= lost, "lost is {}, not at least {lost}", found.1);
            }
            Counts::Merged => {
                assert!(found.0 >= attempt, "attempt is {}, not at least {attempt}", found.0);
                assert_eq!(found.1, 0, "lost is not kept apart");
            }
            other => panic!("the suite does not know counts that are {other:?}"),
        }
    }

    /// Asserts that the queue holds no job: none waits, is reserved or dead.
    pub async fn assert_empty(&self, subscription: &dyn Subscription) {
        assert_eq!(self.dead().await.len(), 0, "dead letters");
        self.assert_none_waits(subscription).await;
    }

    /// Asserts that the queue holds no job but dead ones.
    pub async fn assert_none_waits(&self, subscription: &dyn Subscription) {
        if self.capabilities().depth == Precision::Exact {
            let Depth { ready, delayed, reserved, .. } = self.depth().await;
            assert_eq!((ready, delayed, reserved), (0, 0, 0), "ready, delayed, reserved");
        } else {
            let left = self.whatever_comes(subscription, ABSENCE).await;
            assert_eq!(left.len(), 0, "jobs left in the queue");
        }
    }

    /// Empties every queue that the case used.
    pub(crate) async fn clean(&self) {
        let used = self.used.lock().expect("never poisoned").clone();
        for queue in used {
            // A case may have ended the connection or the store: cleaning is a courtesy.
            let _: Result<_, Error> = self.driver.clear(&queue).await;
            if let Some(dead) = self.driver.dead_letters() {
                let _: Result<_, Error> = dead.clear(&queue).await;
            }
        }
    }
}

/// A plain job, ready at once.
pub fn plain_job() -> NewJob {
    NewJob::new(Envelope::new("case", Codec::Raw, b"payload".to_vec()))
}

/// Plain jobs, ready at once.
pub fn plain_jobs(count: usize) -> Vec<NewJob> {
    (0..count).map(|_| plain_job()).collect()
}

/// `Retry` at once.
pub fn retry_now() -> Outcome {
    Outcome::Retry { after: Duration::ZERO, error: "failed".into() }
}

/// `Retry` after a while.
pub fn retry_after(after: Duration) -> Outcome {
    Outcome::Retry { after, error: "failed".into() }
}

/// `Release` after a while.
pub fn release_after(after: Duration) -> Outcome {
    Outcome::Release { after }
}

/// `Release` at once.
pub fn release_now() -> Outcome {
    Outcome::Release { after: Duration::ZERO }
}

/// `Bury`.
pub fn bury() -> Outcome {
    Outcome::Bury { error: "buried".into() }
}

/// Takes the one job of the queue, lets its lease end, and takes it again on another connection.
///
/// The first delivery, and where the second one was taken.
pub async fn take_over(stage: &Stage) -> (Delivery, Stage, Box<dyn Subscription>, Delivery) {
    let subscription = stage.subscribe().await;
    let first = stage.take_one(&*subscription).await;
    // What it returned stays valid, and it takes nothing any more.
    subscription.close().await.expect("closed");
    let other = stage.elsewhere().await;
    let subscription = other.subscribe().await;
    let second = other.hold_one(&*subscription).await;
    (first, other, subscription, second)
}

/// Asserts that the answer is `LeaseLost`.
pub fn assert_lease_lost(answer: &Result<()>) {
    assert_eq!(answer.as_ref().map_err(Error::kind), Err(&ErrorKind::LeaseLost));
}

/// Asserts what a late outcome is answered where the fence is `BestEffort`: it may count, or it is over.
pub fn assert_ok_or_lease_lost(answer: &Result<()>) {
    if answer.is_err() {
        assert_lease_lost(answer);
    }
}

/// The ids of deliveries, sorted.
pub fn ids(deliveries: &[Delivery]) -> Vec<JobId> {
    sorted(deliveries.iter().map(|delivery| delivery.id().expect("an id")))
}

/// The ids of jobs, sorted.
pub fn job_ids(jobs: &[NewJob]) -> Vec<JobId> {
    sorted(jobs.iter().map(|job| job.envelope.id))
}

fn sorted(ids: impl Iterator<Item = JobId>) -> Vec<JobId> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort();
    ids
}

/// Polls `future` as often as it asks for it, but at most `polls` times, and drops it; its output if
/// it ended by then.
pub async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn fresh_name() -> QueueName {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // The time keeps the names of two runs with one process id apart.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    QueueName::new(format!("t{:x}-{:x}-{number}", process::id(), now & 0xff_ffff_ffff)).expect("legal")
}
