//! Leases, lost leases and the orderly stop.

use std::time::Duration;

use stream_core::{Consumer, Context, Handlers, JobResult};
use tokio::time::Instant;

use super::{Act, World, act};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_long_job_keeps_its_lease_and_is_not_run_twice() {
    let world = World::new();
    world.queue.push(act("until cancelled")).await.unwrap();
    let consumer = world.consumer().lease(3 * SECOND).start().await.unwrap();
    let second = world.consumer().lease(3 * SECOND).start().await.unwrap();

    tokio::time::sleep(100 * SECOND).await;

    assert_eq!(world.noted(), ["run until cancelled 1"]);
    consumer.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
    assert_eq!(world.noted(), ["run until cancelled 1", "done"]);
}

#[tokio::test(start_paused = true)]
async fn handlers_learn_of_the_stop_at_once_and_may_end_within_the_grace_period() {
    let world = World::new();
    world.queue.push(act("until cancelled")).await.unwrap();
    let consumer = world.consumer().start().await.unwrap();
    tokio::time::sleep(SECOND).await;

    let stopped = consumer.shutdown().await.unwrap();

    assert_eq!((stopped.released, stopped.abandoned), (0, 0));
    assert_eq!(world.noted(), ["run until cancelled 1", "done"]);
    assert!(world.now() <= 1);
}

#[tokio::test(start_paused = true)]
async fn what_runs_at_the_end_of_the_grace_period_is_aborted_and_given_back() {
    let world = World::new();
    world.queue.push(act("for ever")).await.unwrap();
    let consumer = world.consumer().grace(5 * SECOND).start().await.unwrap();
    tokio::time::sleep(SECOND).await;
    let begun = Instant::now();

    let stopped = consumer.shutdown().await.unwrap();

    assert_eq!((stopped.released, stopped.abandoned), (1, 0));
    assert!((5..6).contains(&begun.elapsed().as_secs()));
    let job = world.queue.pop("default").await.unwrap().expect("given back");
    assert_eq!(job.attempt(), 1);
    job.complete().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_blocks_its_thread_is_abandoned_and_said_to_be() {
    let world = World::new();
    world.queue.push(act("x")).await.unwrap();
    let (free, blocked) = std::sync::mpsc::channel::<()>();
    let (blocked, begun) = (std::sync::Mutex::new(blocked), std::sync::Arc::new(tokio::sync::Notify::new()));
    let began = begun.clone();
    let handlers = Handlers::new().register::<Act>(move |_: Act, _cx: Context| {
        began.notify_one();
        let _until_freed = blocked.lock().unwrap().recv_timeout(Duration::from_secs(10));
        async { JobResult::Ok(()) }
    });
    let consumer =
        Consumer::builder(&world.queue, handlers).grace(Duration::from_millis(50)).start().await.unwrap();
    begun.notified().await;
    let before = Instant::now();

    let stopped = consumer.shutdown().await.unwrap();

    assert_eq!((stopped.released, stopped.abandoned), (0, 1));
    assert!(before.elapsed() < Duration::from_millis(50) + SECOND, "{:?}", before.elapsed());
    free.send(()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropping_a_consumer_stops_it_and_loses_nothing() {
    let world = World::new();
    for _ in 0..50 {
        world.queue.push(act("a second")).await.unwrap();
    }
    let consumer = world.consumer().workers(7).start().await.unwrap();
    tokio::time::sleep(SECOND / 2).await;

    drop(consumer);
    tokio::time::sleep(10 * SECOND).await;

    let done = world.count("done") as u64;
    assert_eq!(done, 7, "what ran was let to its end, nothing else was begun");
    assert_eq!(world.queue.size("default").await.unwrap(), 50 - done);
}

#[tokio::test(start_paused = true)]
async fn twenty_graceful_stops_cost_no_attempt() {
    let world = World::new();
    for _ in 0..40 {
        world.queue.push(act("a second")).max_attempts(1).await.unwrap();
    }
    for _ in 0..20 {
        let consumer = world.consumer().workers(10).grace(Duration::ZERO).start().await.unwrap();
        tokio::time::sleep(SECOND / 10).await;
        assert_eq!(consumer.shutdown().await.unwrap().released, 10);
    }
    let drained = world.consumer().drain_all().await.unwrap();
    assert_eq!((drained.done, world.dead().await.len()), (40, 0));
    assert!(world.noted().iter().all(|line| !line.starts_with("run a second") || line.ends_with(" 1")));
}

#[tokio::test(start_paused = true)]
async fn run_until_works_until_its_signal() {
    let world = World::new();
    world.queue.push(act("work")).await.unwrap();
    world.consumer().run_until(tokio::time::sleep(SECOND)).await.unwrap();
    assert_eq!(world.noted(), ["run work 1", "done"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reserved_job_is_released() {
    let world = World::new();
    world.queue.push(act("work")).await.unwrap();
    drop(world.queue.pop("default").await.unwrap().expect("a job"));
    tokio::task::yield_now().await;
    let again = world.queue.pop("default").await.unwrap().expect("released, long before its lease ends");
    assert_eq!(again.attempt(), 1);
    again.complete().await.unwrap();
    assert!(again.complete().await.is_err(), "it is over");
}
