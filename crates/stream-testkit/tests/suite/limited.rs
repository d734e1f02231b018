//! A limited driver really keeps less: each limit is seen to act, on the toy below it.

use std::{slice, time::Duration};

use stream_core::{
    Capabilities, Codec, Counts, DelaySupport, Delivery, Driver, Envelope, ErrorKind, Fence, LeaseSupport,
    Listing, NewJob, Outcome, Precision, QueueName, Reserve, Result, Settlement, Subscription, Support,
};
use stream_testkit::{
    Backend,
    limited::{Limited, Limits},
};
use tokio::time::{Instant, sleep};

use crate::toy::{ToyStore, toy_store};

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(60);

/// A limited connection to a store of its own, and its queue.
struct World {
    store: ToyStore,
    driver: Limited,
    queue: QueueName,
}

impl World {
    async fn new(limits: Limits) -> Self {
        let store = toy_store().await.expect("a store");
        let driver = Limited::new(store.connect().await.expect("connected"), limits);
        Self { store, driver, queue: QueueName::new("limited").expect("legal") }
    }

    async fn narrowed(narrow: impl FnOnce(&mut Capabilities)) -> Self {
        Self::new(Limits::of(narrow)).await
    }

    async fn another(&self) -> Limited {
        self.driver.another(self.store.connect().await.expect("connected"))
    }

    async fn push(&self, job: &NewJob) {
        self.push_all(slice::from_ref(job)).await;
    }

    async fn push_all(&self, jobs: &[NewJob]) {
        let answers = self.driver.push(&self.queue, jobs).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }

    async fn subscribe(&self, driver: &Limited) -> Box<dyn Subscription> {
        driver.subscribe(slice::from_ref(&self.queue)).await.expect("subscribed")
    }

    /// Waits for work, and takes what there is.
    async fn take(&self, driver: &Limited, lease: Duration) -> Vec<Delivery> {
        let subscription = self.subscribe(driver).await;
        subscription.ready(Duration::from_secs(5)).await.expect("ready answers");
        subscription.reserve(&self.queue, Reserve::new(100).lease(lease)).await.expect("reserved")
    }

    async fn take_one(&self, driver: &Limited, lease: Duration) -> Delivery {
        let mut taken = self.take(driver, lease).await;
        assert_eq!(taken.len(), 1, "jobs that came");
        taken.remove(0)
    }

    async fn settle(&self, driver: &Limited, delivery: &Delivery, outcome: Outcome) -> Result<()> {
        driver.settle(&self.queue, &[Settlement::new(delivery, &outcome)]).await.remove(0)
    }
}

fn job() -> NewJob {
    NewJob::new(Envelope::new("job", Codec::Raw, vec![1]))
}

fn retry() -> Outcome {
    Outcome::Retry { after: Duration::ZERO, error: "no".into() }
}

fn release() -> Outcome {
    Outcome::Release { after: Duration::ZERO }
}

fn bury() -> Outcome {
    Outcome::Bury { error: "no".into() }
}

fn is_lost(answer: &Result<()>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == &ErrorKind::LeaseLost)
}

#[tokio::test]
async fn repeated_push_is_a_job_beside_the_first() {
    let world = World::narrowed(|it| it.repeated_push = Support::No).await;
    let job = job();
    world.push(&job).await;
    world.push(&job).await;
    let taken = world.take(&world.driver, LONG).await;
    let ids: Vec<_> = taken.iter().map(Delivery::id).collect();
    assert_eq!(ids, [Some(job.envelope.id); 2]);
    world.settle(&world.driver, &taken[1], bury()).await.expect("buried");
    let letters =
        world.driver.dead_letters().expect("letters").list(&world.queue, None, 9).await.expect("listed");
    assert_eq!(letters[0].envelope.as_ref().expect("an envelope").id, job.envelope.id);
}

#[tokio::test]
async fn waits_are_rounded_up_and_longer_ones_refused() {
    let grain = Duration::from_millis(300);
    let delay = DelaySupport::UpTo { max: Duration::from_secs(9), grain };
    let world = World::narrowed(|it| (it.push_delay, it.retry_delay) = (delay, delay)).await;
    let mut delayed = job();
    delayed.delay = Duration::from_millis(1);
    delayed.envelope.backoff = stream_core::Backoff::fixed(grain);
    let began = Instant::now();
    world.push(&delayed).await;
    let delivery = world.take_one(&world.driver, LONG).await;
    assert!(began.elapsed() >= grain, "after {:?}", began.elapsed());

    let began = Instant::now();
    let wait = |after| Outcome::Release { after };
    let refused = world.settle(&world.driver, &delivery, wait(Duration::from_secs(10))).await;
    assert!(matches!(refused.expect_err("too long").kind(), ErrorKind::Unsupported { .. }));
    world.settle(&world.driver, &delivery, wait(Duration::from_millis(1))).await.expect("released");
    world.take_one(&world.driver, LONG).await;
    assert!(began.elapsed() >= grain, "after {:?}", began.elapsed());
}

#[tokio::test]
async fn lease_is_rounded_up_to_its_grain() {
    let grain = Duration::from_millis(500);
    let world = World::narrowed(|it| it.lease = LeaseSupport::Timed { grain, max: Some(LONG) }).await;
    world.push(&job()).await;
    let began = Instant::now();
    let delivery = world.take_one(&world.driver, Duration::from_millis(1)).await;
    world.take_one(&world.driver, LONG).await;
    assert!(began.elapsed() >= grain, "after {:?}", began.elapsed());
    let beyond = world.driver.extend(&world.queue, &[&delivery], LONG * 2).await.remove(0);
    assert!(matches!(beyond.expect_err("too long").kind(), ErrorKind::Unsupported { .. }));
}

#[tokio::test]
async fn late_outcome_ends_the_delivery_of_the_successor_where_the_fence_is_best_effort() {
    let world = World::narrowed(|it| it.fence = Fence::BestEffort).await;
    world.push(&job()).await;
    let zombie = world.take_one(&world.driver, SHORT).await;
    let current = world.take_one(&world.another().await, LONG).await;
    world.settle(&world.driver, &zombie, Outcome::Done).await.expect("taken for the current one");
    assert_eq!(world.driver.depth(&world.queue).await.expect("depth").reserved, 0);
    assert!(is_lost(&world.settle(&world.driver, &current, Outcome::Done).await));
}

#[tokio::test]
async fn outcome_after_the_end_of_the_lease_is_refused_where_expiry_is() {
    let world = World::narrowed(|it| it.fence = Fence::ExpiryRefused).await;
    world.push(&job()).await;
    let late = world.take_one(&world.driver, SHORT).await;
    assert!(world.driver.is_current(&late));
    sleep(SHORT * 2).await;
    assert!(is_lost(&world.settle(&world.another().await, &late, Outcome::Done).await));
    assert!(!world.driver.is_current(&late));
}

#[tokio::test]
async fn delivery_is_bound_to_its_connection_and_lost_with_it() {
    let world = World::narrowed(|it| it.lease = LeaseSupport::Connection { max: None }).await;
    let other = world.another().await;
    world.push(&job()).await;
    let delivery = world.take_one(&world.driver, LONG).await;
    assert!(is_lost(&world.settle(&other, &delivery, Outcome::Done).await));
    assert!(world.driver.is_current(&delivery) && !other.is_current(&delivery));

    world.driver.close().await.expect("closed");
    let again = world.take_one(&other, SHORT).await;
    assert_eq!((again.attempt, again.lost), (1, 1));
    sleep(SHORT * 2).await;
    assert!(is_lost(&world.settle(&other, &again, Outcome::Done).await), "the deadline of this process");
}

#[tokio::test]
async fn merged_counter_counts_retries_losses_and_releases() {
    let world = World::narrowed(|it| (it.counts, it.last_error) = (Counts::Merged, Support::No)).await;
    world.push(&job()).await;
    let mut attempts = Vec::new();
    for outcome in [Some(retry()), Some(release()), None, Some(bury())] {
        let delivery = world.take_one(&world.driver, SHORT).await;
        attempts.push((delivery.attempt, delivery.lost, delivery.last_error.clone()));
        if let Some(outcome) = outcome {
            world.settle(&world.driver, &delivery, outcome).await.expect("settled");
        }
    }
    assert_eq!(attempts, [1, 2, 3, 4].map(|attempt| (attempt, 0, None)));
    let letters =
        world.driver.dead_letters().expect("letters").list(&world.queue, None, 9).await.expect("listed");
    assert_eq!((letters[0].attempt, letters[0].lost, letters[0].error.as_str()), (4, 0, "no"));
}

#[tokio::test]
async fn job_that_was_fetched_ahead_is_hidden_for_a_while_and_counts_as_lost() {
    let world = World::new(Limits::of(|it| it.counts = Counts::UnstartedMayCount).fetching_ahead(5)).await;
    let other = world.another().await;
    let subscription = world.subscribe(&world.driver).await;
    world.push(&job()).await;
    let nothing = subscription.reserve(&world.queue, Reserve::new(1)).await.expect("reserved");
    assert!(nothing.is_empty(), "it takes from its buffer alone");
    assert_eq!(subscription.ready(LONG).await.expect("ready answers"), slice::from_ref(&world.queue));
    let theirs = world.subscribe(&other).await;
    assert!(theirs.ready(Duration::ZERO).await.expect("ready answers").is_empty(), "it is not hidden");
    // Its owner does nothing; the job comes again to whoever asks.
    let again = world.take_one(&other, LONG).await;
    assert_eq!(again.lost, 1);
    let gone = subscription.reserve(&world.queue, Reserve::new(1)).await.expect("reserved");
    assert!(gone.is_empty(), "it was given out twice");
}

#[tokio::test]
async fn what_was_fetched_ahead_is_given_back_by_close_and_drop() {
    let world = World::new(Limits::of(|_| {}).fetching_ahead(5)).await;
    let other = world.another().await;
    world.push(&job()).await;
    for is_closed in [true, false] {
        let subscription = world.subscribe(&world.driver).await;
        subscription.ready(LONG).await.expect("ready answers");
        match is_closed {
            true => subscription.close().await.expect("closed"),
            false => drop(subscription),
        }
        let delivery = world.take_one(&other, LONG).await;
        assert_eq!(delivery.lost, 0, "closed: {is_closed}");
        world.settle(&other, &delivery, release()).await.expect("released");
    }
}

#[tokio::test]
async fn call_takes_and_answers_no_more_than_the_batch_in_any_order() {
    let world = World::new(Limits::like_kafka()).await;
    let jobs = [job(), job(), job()];
    world.push_all(&jobs).await;
    let ids: Vec<_> = world.take(&world.driver, LONG).await.iter().map(Delivery::id).collect();
    assert_eq!(ids, [2, 1, 0].map(|at: usize| Some(jobs[at].envelope.id)));

    let world = World::narrowed(|it| it.batch = 2).await;
    world.push_all(&jobs).await;
    assert_eq!(world.take(&world.driver, LONG).await.len(), 2);
}

#[tokio::test]
async fn depth_is_what_was_true_before() {
    let world = World::narrowed(|it| it.depth = Precision::Estimate).await;
    world.push(&job()).await;
    let depths = [world.driver.depth(&world.queue).await, world.driver.depth(&world.queue).await];
    assert_eq!(depths.map(|depth| depth.expect("depth").ready), [0, 1]);

    let world = World::narrowed(|it| it.depth = Precision::ReadyOnly).await;
    let mut delayed = job();
    delayed.delay = LONG;
    world.push(&delayed).await;
    world.driver.depth(&world.queue).await.expect("depth");
    let depth = world.driver.depth(&world.queue).await.expect("depth");
    assert_eq!((depth.ready, depth.delayed, depth.reserved), (0, 0, 0));
}

#[tokio::test]
async fn clear_leaves_what_waits_for_its_time() {
    let world = World::narrowed(|it| it.clear_delayed = Support::No).await;
    let mut delayed = job();
    delayed.delay = LONG;
    world.push(&delayed).await;
    world.push(&job()).await;
    let cleared = world.driver.clear(&world.queue).await.expect("cleared");
    assert_eq!((cleared.waiting, cleared.delayed_too), (Some(1), false));
    let depth = world.driver.depth(&world.queue).await.expect("depth");
    assert_eq!((depth.ready, depth.delayed, depth.reserved), (0, 1, 0));
}

#[tokio::test]
async fn sample_of_letters_misses_one_every_other_time_and_has_no_pages() {
    let world = World::narrowed(|it| it.dead_letters = Listing::Sampled).await;
    world.push(&job()).await;
    let delivery = world.take_one(&world.driver, LONG).await;
    world.settle(&world.driver, &delivery, bury()).await.expect("buried");
    let letters = world.driver.dead_letters().expect("letters");
    let shown = [letters.list(&world.queue, None, 9).await, letters.list(&world.queue, None, 9).await];
    let [none, one] = shown.map(|shown| shown.expect("listed"));
    assert_eq!((none.len(), one.len()), (0, 1));
    let refused = letters.list(&world.queue, Some(&one[0].id), 9).await.expect_err("no pages");
    assert!(matches!(refused.kind(), ErrorKind::Unsupported { .. }));
    assert!(!letters.retry(&world.queue, &one[0].id).await.expect("answered"), "the sample misses it");
    assert!(letters.retry(&world.queue, &one[0].id).await.expect("answered"));

    let world = World::narrowed(|it| it.dead_letters = Listing::None).await;
    assert!(world.driver.dead_letters().is_none());
}

#[tokio::test]
async fn what_is_not_promised_is_refused_by_the_driver_itself() {
    let world = World::new(Limits::bare()).await;
    let mut asked = job();
    asked.envelope.group = Some("group".into());
    let refused = world.driver.push(&world.queue, &[asked, job()]).await;
    assert!(
        matches!(&refused[..], [Err(error), Ok(_)] if matches!(error.kind(), ErrorKind::Unsupported { .. }))
    );
    let limit = Reserve::new(1).rate_limit(stream_core::RateLimit::per_second(1));
    let subscription = world.subscribe(&world.driver).await;
    let refused = subscription.reserve(&world.queue, limit).await.expect_err("no limits");
    assert!(matches!(refused.kind(), ErrorKind::Unsupported { .. }));
}
