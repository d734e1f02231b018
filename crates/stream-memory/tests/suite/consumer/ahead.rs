//! Jobs are reserved ahead of free slots to hide the store's round trips, and for nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use stream_core::{
    Capabilities, Consumer, ConsumerBuilder, Context, Counts, Event, Handlers, Job, JobError, JobResult,
    LeaseSupport, RateLimit,
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    World,
    distant::{Distant, TRIP},
};

const WORKERS: usize = 10;

/// A job that runs so long.
#[derive(Debug, Serialize, Deserialize)]
struct Lasting(Duration);

impl Job for Lasting {
    const NAME: &'static str = "lasting";
}

#[derive(Debug, Clone, Default)]
struct Counted {
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    unrun: Arc<AtomicUsize>,
}

impl Counted {
    fn consumer(&self, world: &World) -> ConsumerBuilder {
        let (counted, unrun) = (self.clone(), self.unrun.clone());
        let handler = move |job: Lasting, _cx: Context| counted.clone().run(job);
        Consumer::builder(&world.queue, Handlers::new().register::<Lasting>(handler))
            .workers(WORKERS)
            .on_event(move |event| {
                if let Event::NotRun { .. } = event {
                    unrun.fetch_add(1, Ordering::SeqCst);
                }
            })
    }

    async fn run(self, job: Lasting) -> JobResult {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        if !job.0.is_zero() {
            sleep(job.0).await;
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        Ok::<(), JobError>(())
    }
}

async fn push(world: &World, count: usize, lasting: Duration) {
    world.queue.push_many((0..count).map(|_| Lasting(lasting))).await.unwrap();
}

async fn reserved(world: &World) -> usize {
    world.queue.depth("default").await.unwrap().reserved as usize
}

/// How long it takes to work so many jobs.
async fn drained(world: &World, builder: ConsumerBuilder, count: usize, lasting: Duration) -> Duration {
    push(world, count, lasting).await;
    let begun = Instant::now();
    let drained = builder.drain().await.unwrap();
    assert_eq!(drained.done, count as u64);
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn quick_jobs_are_reserved_ahead_until_the_round_trips_are_hidden() {
    let (world, _) = Distant::world(|_| {});
    let counted = Counted::default();

    let took = drained(&world, counted.consumer(&world), 2_000, Duration::ZERO).await;

    // Ten at a time would take 200 times two trips.
    assert!(took < 40 * TRIP, "{took:?}");
    assert_eq!(counted.unrun.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn slots_are_never_idle_and_never_more_than_workers() {
    let (world, _) = Distant::world(|_| {});
    let counted = Counted::default();
    let lasting = 2 * TRIP;

    let took = drained(&world, counted.consumer(&world), 1_000, lasting).await;

    assert_eq!(counted.most.load(Ordering::SeqCst), WORKERS);
    // Without reserves ahead each job would hold its slot for twice as long.
    assert!(took < lasting * 100 * 5 / 4, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn long_jobs_are_not_reserved_ahead() {
    let (world, _) = Distant::world(|_| {});
    push(&world, 100, Duration::from_secs(600)).await;
    let consumer = Counted::default().consumer(&world).start().await.unwrap();

    for _ in 0..50 {
        sleep(Duration::from_millis(20)).await;
        assert!(reserved(&world).await <= WORKERS);
    }
    drop(consumer);
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_slot_for_100_ms_is_given_back() {
    let (world, _) = Distant::world(|_| {});
    let counted = Counted::default();
    push(&world, 1_000, Duration::ZERO).await;
    push(&world, 1_000, Duration::from_secs(600)).await;
    let consumer = counted.consumer(&world).start().await.unwrap();

    let busy = async {
        while counted.running.load(Ordering::SeqCst) < WORKERS {
            sleep(TRIP).await;
        }
    };
    timeout(Duration::from_secs(5), busy).await.unwrap();
    assert!(reserved(&world).await > WORKERS, "quick jobs before them were reserved ahead");
    // Once in line for 100 ms, once more while the measure falls, and the trips.
    sleep(Duration::from_millis(500)).await;
    for _ in 0..20 {
        assert_eq!(reserved(&world).await, WORKERS);
        sleep(Duration::from_millis(50)).await;
    }
    assert!(counted.unrun.load(Ordering::SeqCst) > 0);
    drop(consumer);
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_what_is_in_line_and_waits_for_what_runs() {
    let (world, _) = Distant::world(|_| {});
    let counted = Counted::default();
    push(&world, 1_000, Duration::ZERO).await;
    push(&world, 1_000, Duration::from_secs(20)).await;
    let consumer = counted.consumer(&world).start().await.unwrap();
    let busy = async {
        while counted.running.load(Ordering::SeqCst) < WORKERS {
            sleep(TRIP).await;
        }
    };
    timeout(Duration::from_secs(5), busy).await.unwrap();

    let begun = Instant::now();
    let stopping = tokio::spawn(consumer.shutdown());
    sleep(Duration::from_millis(50)).await;
    assert_eq!(reserved(&world).await, WORKERS, "the line is given back at once");
    let stopped = stopping.await.unwrap().unwrap();

    assert_eq!((stopped.released, stopped.abandoned), (0, 0));
    assert!(begun.elapsed() < Duration::from_secs(21), "{:?}", begun.elapsed());
    assert_eq!(world.queue.depth("default").await.unwrap().ready as usize, 1_000 - WORKERS);
}

/// The most jobs that were reserved and not settled while quick jobs were worked.
async fn most_reserved(
    change: impl FnOnce(&mut Capabilities),
    adjust: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder,
) -> usize {
    let (world, _) = Distant::world(change);
    push(&world, 300, Duration::ZERO).await;
    let consumer = adjust(Counted::default().consumer(&world)).start().await.unwrap();
    let mut most = 0;
    while world.queue.depth("default").await.unwrap().ready > 0 {
        most = most.max(reserved(&world).await);
        sleep(TRIP / 4).await;
    }
    consumer.shutdown().await.unwrap();
    most
}

#[tokio::test(start_paused = true)]
async fn nothing_is_reserved_ahead_where_a_return_costs_or_breaks_a_promise() {
    let as_it_is = |builder: ConsumerBuilder| builder;
    assert!(most_reserved(|_| {}, as_it_is).await > WORKERS, "else this proves nothing");

    let merged = |capabilities: &mut Capabilities| capabilities.counts = Counts::Merged;
    assert_eq!(most_reserved(merged, as_it_is).await, WORKERS);
    let connection = |capabilities: &mut Capabilities| {
        capabilities.lease = LeaseSupport::Connection { max: None };
    };
    assert_eq!(most_reserved(connection, as_it_is).await, WORKERS);
    assert_eq!(most_reserved(|_| {}, |builder| builder.workers(1)).await, 1);
    let limited = |builder: ConsumerBuilder| builder.rate_limit("default", RateLimit::per_second(1_000_000));
    assert!(most_reserved(|_| {}, |builder| limited(builder.queues(["default"]))).await <= 2 * WORKERS);
}
