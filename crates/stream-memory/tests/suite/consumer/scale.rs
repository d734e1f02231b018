//! Many queues, many jobs, and a queue that always fails: nobody starves, nothing piles up, nothing spins.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use stream_core::{Consumer, Context, Draft, Driver, Event, Handlers, JobResult, QueueManager, QueueName};
use stream_testkit::faulty::{Faults, Faulty, Operation, Side};
use tokio::time::sleep;

use super::{Act, World, act};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A world whose calls are counted.
fn counted(faults: Faults) -> (World, Faulty) {
    let mut world = World::new();
    let faulty = Faulty::new(Arc::new(world.driver.clone()), faults);
    world.queue = QueueManager::new(faulty.clone());
    (world, faulty)
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_queues_none_starves_beside_64_slots() {
    const QUEUES: usize = 1_000;
    const EACH: usize = 5;
    let (world, faulty) = counted(Faults::new(0));
    let queues: Vec<_> = (0..QUEUES).map(|number| format!("q{number}")).collect();
    // The first queue has so much to do that it could take every slot for ever.
    let greedy = (0..10_000).map(|_| Draft::new(act("a second")).on_queue("q0"));
    world.queue.push_many(greedy).await.unwrap();
    for queue in &queues[1..] {
        let jobs = (0..EACH).map(|_| Draft::new(act("a second")).on_queue(queue));
        world.queue.push_many(jobs).await.unwrap();
    }
    let started = Arc::new(Mutex::new(Vec::new()));
    let noting = started.clone();
    let consumer = world.consumer().queues(&queues).workers(64).on_event(move |event| {
        if let Event::Started { cx } = event {
            noting.lock().unwrap().push(cx.queue().clone());
        }
    });
    let consumer = consumer.start().await.unwrap();
    // A turn is one reserve, of as many jobs as there are free slots. The others' 4,995 jobs of a second take 64
    // slots 78 seconds, and the greedy queue gets its turn of 64; alone it would keep all for 156.
    sleep(90 * SECOND).await;
    let seen: BTreeSet<QueueName> = started.lock().unwrap().iter().cloned().collect();
    assert_eq!(seen.len(), QUEUES, "queues of which a job was started");
    sleep(30 * SECOND).await;
    consumer.shutdown().await.unwrap();

    let started = started.lock().unwrap().len() as u64;
    let reserves = faulty.calls(Operation::Reserve);
    assert!(reserves <= 2 * started + QUEUES as u64, "{reserves} reserves for {started} jobs");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_empty_queues_are_waited_for_and_not_asked() {
    let (world, faulty) = counted(Faults::new(0));
    let consumer = world.consumer().queues((0..1_000).map(|number| format!("q{number}"))).workers(64);
    let consumer = consumer.start().await.unwrap();
    sleep(10 * SECOND).await;
    let calls = || faulty.calls(Operation::Reserve) + faulty.calls(Operation::Ready);
    let before = calls();
    sleep(HOUR).await;
    // A wait of 30 seconds after the other.
    assert!(calls() - before <= 200, "{} calls in an idle hour", calls() - before);

    world.queue.push(act("work")).on_queue("q999").await.unwrap();
    sleep(SECOND).await;
    assert_eq!(world.count("done"), 1);
    consumer.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_always_fails_holds_back_no_other_and_is_asked_with_pauses() {
    let broken = QueueName::new("broken").unwrap();
    let faults = Faults::everywhere(1, 1.0).only(Side::Before).in_queue(broken);
    let (world, faulty) = counted(faults);
    let elsewhere = QueueManager::new(world.driver.clone());
    elsewhere.push(act("work")).on_queue("broken").await.unwrap();
    for _ in 0..300 {
        world.queue.push(act("a second")).on_queue("fine").await.unwrap();
    }
    let consumer = world.consumer().queues(["broken", "fine"]).workers(3).start().await.unwrap();
    sleep(101 * SECOND).await;
    assert_eq!(world.count("done"), 300, "as many as three slots can work in that time");

    let before = faulty.injected(Operation::Reserve, Side::Before);
    sleep(HOUR).await;
    let failed = faulty.injected(Operation::Reserve, Side::Before) - before;
    // Pauses grow to five seconds, less the jitter.
    assert!((300..=3_600).contains(&failed), "asked {failed} times in an hour");

    faulty.calm();
    sleep(10 * SECOND).await;
    assert_eq!(world.count("done"), 301, "it is worked once it is whole");
    consumer.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_thousand_jobs_due_at_one_moment_start_at_that_moment() {
    let world = World::new();
    let due = (0..1_000).map(|_| Draft::new(act("work")).delay(HOUR));
    world.queue.push_many(due).await.unwrap();
    let consumer = world.consumer().workers(8).start().await.unwrap();
    sleep(HOUR - SECOND).await;
    assert_eq!(world.count("done"), 0);
    sleep(2 * SECOND).await;
    assert_eq!(world.count("done"), 1_000);
    consumer.shutdown().await.unwrap();
}

/// Works so many waiting jobs, and looks at how many are taken and do not run.
pub(crate) async fn work_a_backlog(jobs: usize) {
    const WORKERS: usize = 16;
    let world = World::new();
    for _ in 0..jobs / 1_000 {
        world.queue.push_many((0..1_000).map(|_| Draft::new(act("x")))).await.unwrap();
    }
    let queue = QueueName::new("default").unwrap();
    let (begun, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    let looking = (world.driver.clone(), most.clone(), begun.clone());
    let handlers = Handlers::new().register::<Act>(move |_: Act, _: Context| {
        let (driver, most, begun) = looking.clone();
        let queue = queue.clone();
        async move {
            // Every job that was taken and not settled counts, be it begun or held.
            let at = begun.fetch_add(1, Ordering::Relaxed);
            if at.is_multiple_of(97) {
                let reserved = driver.depth(&queue).await?.reserved;
                most.fetch_max(reserved, Ordering::Relaxed);
                // Now and then one takes its time, so that others could be fetched behind it.
                sleep(Duration::from_millis(5)).await;
            }
            JobResult::Ok(())
        }
    });
    let drained = Consumer::builder(&world.queue, handlers).workers(WORKERS).drain_all().await.unwrap();
    assert_eq!(drained.done, jobs as u64);
    let most = most.load(Ordering::Relaxed);
    assert!(most <= 2 * WORKERS as u64, "{most} of {jobs} jobs were held at a time by {WORKERS} workers");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_waiting_jobs_are_worked_and_never_held() {
    work_a_backlog(100_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_works_what_a_store_gives_only_to_who_waits() {
    use stream_testkit::limited::{Limited, Limits};
    for limits in [Limits::like_rabbitmq(), Limits::like_sqs_standard(), Limits::like_kafka(), Limits::bare()]
    {
        let mut world = World::new();
        world.queue = QueueManager::new(Limited::new(Arc::new(world.driver.clone()), limits));
        for work in 0..50 {
            world.queue.push(act(&format!("work {work}"))).await.unwrap();
        }
        assert_eq!(world.consumer().drain().await.unwrap().done, 50);
        world.queue.push(act("work")).await.unwrap();
        assert_eq!(world.consumer().drain_all().await.unwrap().done, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pop_goes_on_behind_what_cannot_be_run_where_taking_means_waiting() {
    use stream_testkit::limited::{Limited, Limits};
    let mut world = World::new();
    let limits = Limits::of(|_| {}).fetching_ahead(1);
    world.queue = QueueManager::new(Limited::new(Arc::new(world.driver.clone()), limits));
    for _ in 0..2 {
        world.driver.push_bytes(&QueueName::new("default").unwrap(), b"no envelope".to_vec()).unwrap();
    }
    let pushed = world.queue.push(act("work")).await.unwrap();

    let popped = world.queue.pop("default").await.unwrap().expect("the job behind the two");

    assert_eq!(popped.envelope().id, pushed.id());
    popped.complete().await.unwrap();
    assert!(world.queue.pop("default").await.unwrap().is_none());
    assert_eq!(world.dead().await.len(), 2);
}
