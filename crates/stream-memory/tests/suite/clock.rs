//! Delays, leases and rate limits run on tokio's clock: paused, an hour passes at once.

use std::{slice, time::Duration};

use stream_core::{
    Codec, Delivery, Driver, Envelope, NewJob, Outcome, QueueName, RateLimit, Reserve, Settlement,
    Subscription,
};
use stream_memory::MemoryDriver;
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = HOUR.saturating_mul(24);

struct World {
    driver: MemoryDriver,
    queue: QueueName,
    subscription: Box<dyn Subscription>,
    begun: Instant,
}

impl World {
    async fn new() -> Self {
        let (driver, queue) = (MemoryDriver::new(), QueueName::new("jobs").unwrap());
        let subscription = driver.subscribe(slice::from_ref(&queue)).await.unwrap();
        Self { driver, queue, subscription, begun: Instant::now() }
    }

    async fn push(&self, delay: Duration) {
        let mut job = NewJob::new(Envelope::new("job", Codec::Raw, Vec::new()));
        job.delay = delay;
        self.driver.push(&self.queue, &[job]).await.remove(0).unwrap();
    }

    async fn reserve(&self, request: Reserve) -> Vec<Delivery> {
        self.subscription.reserve(&self.queue, request).await.unwrap()
    }

    /// Waits for work up to a day; how long after the beginning it was there, if it was.
    async fn ready(&self) -> Option<Duration> {
        let named = self.subscription.ready(DAY).await.unwrap();
        named.contains(&self.queue).then(|| self.begun.elapsed())
    }
}

/// The clock of a runtime wakes in whole milliseconds.
fn assert_just_after(found: Option<Duration>, expected: Duration) {
    let found = found.expect("work came");
    assert!(found >= expected && found <= expected + Duration::from_millis(2), "{found:?}, not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delay_of_an_hour_ends_after_an_hour_and_not_before() {
    let world = World::new().await;
    world.push(HOUR).await;
    tokio::time::advance(HOUR - Duration::from_millis(1)).await;
    assert!(world.reserve(Reserve::new(1)).await.is_empty());
    assert_just_after(world.ready().await, HOUR);
    assert_eq!(world.reserve(Reserve::new(1)).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_an_hour_ends_after_an_hour_and_not_before() {
    let world = World::new().await;
    world.push(Duration::ZERO).await;
    let request = Reserve::new(1).lease(HOUR);
    assert_eq!(world.reserve(request).await[0].lost, 0);
    assert_just_after(world.ready().await, HOUR);
    assert_eq!(world.reserve(request).await[0].lost, 1);
}

#[tokio::test(start_paused = true)]
async fn an_extension_moves_the_end_of_the_lease() {
    let world = World::new().await;
    world.push(Duration::ZERO).await;
    let taken = world.reserve(Reserve::new(1).lease(HOUR)).await.remove(0);
    tokio::time::advance(HOUR / 2).await;
    world.driver.extend(&world.queue, &[&taken], HOUR).await.remove(0).unwrap();
    assert_just_after(world.ready().await, HOUR * 3 / 2);
}

#[tokio::test(start_paused = true)]
async fn a_shortened_lease_wakes_who_waits_for_its_end() {
    let world = World::new().await;
    world.push(Duration::ZERO).await;
    let taken = world.reserve(Reserve::new(1).lease(HOUR)).await.remove(0);
    let shorten = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.driver.extend(&world.queue, &[&taken], Duration::from_secs(60)).await.remove(0).unwrap();
    };
    let (ready, ()) = tokio::join!(world.ready(), shorten);
    assert_just_after(ready, Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_lease_wakes_who_waited_before_it_was_given() {
    let world = World::new().await;
    let other = world.driver.connect().subscribe(slice::from_ref(&world.queue)).await.unwrap();
    let take = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.push(Duration::ZERO).await;
        // In the same poll as the push: who waits never finds the job ready, only on loan.
        other.reserve(&world.queue, Reserve::new(1).lease(HOUR)).await.unwrap()
    };
    let (ready, taken) = tokio::join!(world.ready(), take);
    assert_eq!(taken.len(), 1);
    assert_just_after(ready, HOUR + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_lets_the_next_go_when_its_window_has_passed() {
    let world = World::new().await;
    for _ in 0..5 {
        world.push(Duration::ZERO).await;
    }
    let request = Reserve::new(5).rate_limit(RateLimit::new(2, HOUR));
    for hours in 0..2 {
        assert_just_after(world.ready().await, HOUR * hours);
        let taken = world.reserve(request).await;
        assert_eq!(taken.len(), 2);
        let settlements: Vec<_> = taken.iter().map(|it| Settlement::new(it, &Outcome::Done)).collect();
        world.driver.settle(&world.queue, &settlements).await.into_iter().for_each(Result::unwrap);
        assert!(world.reserve(request).await.is_empty());
        assert!(world.subscription.ready(Duration::ZERO).await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_named_no_more_holds_nobody_who_waits() {
    let world = World::new().await;
    for _ in 0..2 {
        world.push(Duration::ZERO).await;
    }
    let limited = Reserve::new(1).rate_limit(RateLimit::new(1, HOUR));
    assert_eq!(world.reserve(limited).await.len(), 1);
    let name_none = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(world.reserve(Reserve::new(0)).await.is_empty());
    };
    let (ready, ()) = tokio::join!(world.ready(), name_none);
    assert_just_after(ready, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_nothing_when_its_time_is_over() {
    let world = World::new().await;
    world.push(DAY * 2).await;
    assert_eq!(world.ready().await, None);
    assert_just_after(Some(world.begun.elapsed()), DAY);
}
