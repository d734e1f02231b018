//! Whatever is dropped, aborted or cut off, on a faulty and slow store: no job is lost, and none runs
//! again within a living process once it has ended. A scenario for each, for many seeds.

mod runs;

use std::{sync::Arc, time::Duration};

use stream_core::{Capabilities, Consumer, ConsumerBuilder, Draft, Driver, Precision, QueueManager, Support};
use stream_memory::MemoryDriver;
use stream_testkit::{
    faulty::{Faults, Faulty},
    limited::{Limited, Limits},
    stage::dropped_after,
};
use tokio::{runtime, task::JoinSet, time::sleep};

use super::act;
use runs::Runs;

const JOBS: usize = 40;
const LEASE: Duration = Duration::from_secs(20);
/// So many seeds in each run of the tests; the soak tier has thousands.
const SEEDS: u64 = 30;

/// A store, and a connection to it that is slow and fails as told by a seed.
struct World {
    seed: u64,
    faulty: Faulty,
    queue: QueueManager,
    runs: Runs,
}

impl World {
    fn new(seed: u64) -> Self {
        Self::over(Arc::new(MemoryDriver::new()), seed)
    }

    fn over(driver: Arc<dyn Driver>, seed: u64) -> Self {
        let faults =
            Faults::new(seed).push(0.2).subscribe(0.1).ready(0.1).reserve(0.2).settle(0.2).extend(0.2);
        let faulty = Faulty::new(driver, faults.slow(Duration::from_millis(200)));
        Self { seed, queue: QueueManager::new(faulty.clone()), faulty, runs: Runs::new(seed) }
    }

    /// Pushes until each was answered; the same draft again is recognised.
    async fn fill(&self) {
        for number in 0..JOBS {
            // Where one counter counts releases as well, a job needs many attempts.
            let draft = Draft::new(act(&number.to_string())).max_attempts(100);
            while self.queue.push(draft.clone()).await.is_err() {}
            self.runs.pushed(draft.id());
        }
    }

    fn consumer(&self) -> ConsumerBuilder {
        let noting = self.runs.clone();
        Consumer::builder(&self.queue, self.runs.handlers())
            .workers(1 + (self.seed % 9) as usize)
            .lease(LEASE)
            .on_event(move |event| noting.note(event))
    }

    /// A moment in the middle of the work, another for each seed.
    fn moment(&self) -> Duration {
        Duration::from_millis(100 + self.seed * 7_919 % 9_000)
    }

    /// Works what is left without faults, and finds that nothing was lost.
    async fn finish(&self) {
        self.faulty.calm();
        self.consumer().drain_all().await.unwrap();
        let depth = self.queue.depth("default").await.unwrap();
        assert_eq!(
            (depth.ready, depth.delayed, depth.reserved, depth.dead),
            (0, 0, 0, Some(0)),
            "{}",
            self.seed
        );
        self.runs.assert_all_ended();
    }
}

/// Runs a scenario for one seed on a paused clock.
pub(crate) fn with_seed<F: Future<Output = ()>>(seed: u64, scenario: impl FnOnce(u64) -> F) {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(scenario(seed));
}

/// Many push at the same time; the futures are dropped after any number of polls, and some push again.
pub(crate) async fn pushes_dropped(seed: u64) {
    let world = World::new(seed);
    let mut pushes = JoinSet::new();
    for number in 0..JOBS {
        let (queue, runs) = (world.queue.clone(), world.runs.clone());
        pushes.spawn(async move {
            let draft = Draft::new(act(&number.to_string()));
            runs.may_be_pushed(draft.id());
            for polls in [number % 4, (number + seed as usize) % 5, 1 + number % 3] {
                let push = queue.push(draft.clone()).into_future();
                if let Some(Ok(_)) = dropped_after(polls, push).await {
                    runs.pushed(draft.id());
                }
            }
        });
    }
    pushes.join_all().await;
    // Only now: the id of a job that is done is forgotten, and a repeated push would be a new job.
    let consumer = world.consumer().start().await.unwrap();
    sleep(world.moment()).await;
    consumer.shutdown().await.unwrap();
    world.finish().await;
    world.runs.assert_each_ended_once();
}

/// Consumers are dropped without a shutdown, and others begin at once beside what still runs.
pub(crate) async fn consumers_dropped(seed: u64) {
    let world = World::new(seed);
    world.fill().await;
    for _ in 0..4 {
        let consumer = world.consumer().start().await.unwrap();
        sleep(world.moment() / 4).await;
        drop(consumer);
    }
    world.finish().await;
    world.runs.assert_each_ended_once();
}

/// Handlers are aborted at the end of a grace period that is short.
pub(crate) async fn handlers_aborted(seed: u64) {
    abort_handlers(World::new(seed)).await;
}

/// The same on stores with a merged counter and refused expiry, or bound to a connection.
pub(crate) async fn handlers_aborted_on_limited_stores(seed: u64) {
    let recognised = |it: &mut Capabilities| it.repeated_push = Support::Yes;
    let exact = |it: &mut Capabilities| it.depth = Precision::Exact;
    for limits in [Limits::like_sqs_fifo(), Limits::like_rabbitmq(), Limits::like_kafka()] {
        let limits = limits.changed(recognised).changed(exact);
        let limited = Limited::new(Arc::new(MemoryDriver::new()), limits);
        abort_handlers(World::over(Arc::new(limited), seed)).await;
    }
}

async fn abort_handlers(world: World) {
    world.fill().await;
    let mut abandoned = 0;
    for _ in 0..6 {
        let consumer = world.consumer().grace(world.moment() / 20).start().await.unwrap();
        sleep(world.moment() / 4).await;
        abandoned += consumer.shutdown().await.unwrap().abandoned;
    }
    world.finish().await;
    // Jobs whose outcome the store did not take before the stop was over; their leases ended them.
    world.runs.assert_ended_again_at_most(abandoned);
}

/// A runtime is shut down with everything on it, as a process would end; another goes on.
pub(crate) fn runtime_shut_down(seed: u64) {
    let world = World::new(seed);
    with_seed(seed, |_| world.fill());
    for _ in 0..3 {
        let mut builder = runtime::Builder::new_current_thread();
        let process = builder.enable_all().start_paused(true).build().unwrap();
        process.block_on(async {
            let consumer = world.consumer().start().await;
            sleep(world.moment() / 3).await;
            // It goes with the runtime, unstopped.
            std::mem::forget(consumer);
        });
        drop(process);
        world.runs.process_ended();
    }
    with_seed(seed, |_| world.finish());
    world.runs.assert_what_was_settled_ran_no_more();
}

#[test]
fn push_futures_that_are_dropped_lose_and_double_nothing() {
    for seed in 0..SEEDS {
        with_seed(seed, pushes_dropped);
    }
}

#[test]
fn consumers_that_are_dropped_lose_and_double_nothing() {
    for seed in 0..SEEDS {
        with_seed(seed, consumers_dropped);
    }
}

#[test]
fn handlers_that_are_aborted_run_again_and_end_once() {
    for seed in 0..SEEDS {
        with_seed(seed, handlers_aborted);
    }
}

#[test]
fn handlers_that_are_aborted_on_limited_stores_run_again_and_end_once() {
    for seed in 0..SEEDS {
        with_seed(seed, handlers_aborted_on_limited_stores);
    }
}

#[test]
fn runtime_that_is_shut_down_takes_no_job_with_it() {
    for seed in 0..SEEDS {
        runtime_shut_down(seed);
    }
}
