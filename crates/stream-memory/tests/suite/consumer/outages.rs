//! A store that fails, before or after the call: nothing is lost, nothing runs twice, nobody dies.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use stream_core::{Consumer, Context, Handlers, JobResult, QueueManager, Reserve};
use stream_testkit::faulty::{Faults, Faulty, Operation, Side};

use super::{Act, World, act};

const SECOND: Duration = Duration::from_secs(1);

/// A world whose consumers work over a faulty connection to its store.
fn faulty_world(faults: Faults) -> (World, Faulty) {
    let mut world = World::new();
    let faulty = Faulty::new(Arc::new(world.driver.clone()), faults);
    world.queue = QueueManager::new(faulty.clone());
    (world, faulty)
}

#[tokio::test(start_paused = true)]
async fn settlements_are_repeated_until_the_store_answers() {
    let (world, faulty) = faulty_world(Faults::new(1));
    world.queue.push(act("work")).await.unwrap();
    faulty.fail_next(Operation::Settle, Side::Before, 5);

    world.consumer().drain_all().await.unwrap();

    assert_eq!(world.noted(), ["run work 1", "done"]);
    assert_eq!(faulty.injected(Operation::Settle, Side::Before), 5);
    assert_eq!(world.queue.size("default").await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_whose_answer_was_lost_is_unconfirmed_and_not_a_lost_lease() {
    let (world, faulty) = faulty_world(Faults::new(1));
    for what in ["work", "bury"] {
        world.queue.push(act(what)).await.unwrap();
        faulty.fail_next(Operation::Settle, Side::After, 1);
        world.consumer().drain_all().await.unwrap();
    }
    assert_eq!(world.noted(), ["run work 1", "unconfirmed", "run bury 1", "unconfirmed"]);
    assert_eq!(world.dead().await, ["hopeless"]);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_finish_while_the_store_is_away_do_not_run_again() {
    let (world, faulty) = faulty_world(Faults::new(1));
    for _ in 0..20 {
        world.queue.push(act("a second")).await.unwrap();
    }
    let consumer = world.consumer().workers(20).lease(5 * SECOND).start().await.unwrap();
    tokio::time::sleep(SECOND / 2).await;

    faulty.down();
    tokio::time::sleep(15 * SECOND).await;
    faulty.calm();
    tokio::time::sleep(10 * SECOND).await;

    assert_eq!((world.count("run a second 1"), world.count("done")), (20, 20));
    consumer.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_may_start_before_its_server_and_outlives_its_absence() {
    let (world, faulty) = faulty_world(Faults::new(1));
    world.queue.push(act("work")).await.unwrap();
    faulty.down();
    let consumer = world.consumer().start().await.unwrap();
    tokio::time::sleep(3600 * SECOND).await;
    assert!(faulty.injected_in_all() < 3600, "it asks with pauses: {}", faulty.injected_in_all());

    faulty.calm();
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(world.count("done"), 1);

    faulty.down();
    tokio::time::sleep(60 * SECOND).await;
    faulty.calm();
    world.queue.push(act("again")).await.unwrap();
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(world.count("done"), 2);
    consumer.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_learns_that_its_lease_is_lost_and_its_outcome_is_dropped() {
    let (world, faulty) = faulty_world(Faults::new(1));
    world.queue.push(act("until cancelled")).await.unwrap();
    let consumer = world.consumer().workers(1).lease(10 * SECOND).start().await.unwrap();
    tokio::time::sleep(SECOND).await;
    faulty.fail_next(Operation::Extend, Side::Before, 1_000);
    tokio::time::sleep(12 * SECOND).await;

    let elsewhere = QueueManager::new(world.driver.clone());
    let taken =
        elsewhere.reserve("default", Reserve::new(1)).await.unwrap().pop().expect("its lease has ended");
    tokio::time::sleep(5 * SECOND).await;

    assert_eq!(world.noted(), ["run until cancelled 1", "lease lost"]);
    taken.complete().await.expect("the outcome of the one who has it counts");
    consumer.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_we_take_again_ourselves_goes_on_and_does_not_run_twice() {
    let (world, faulty) = faulty_world(Faults::new(1));
    world.queue.push(act("until cancelled")).await.unwrap();
    let consumer = world.consumer().workers(5).lease(10 * SECOND).start().await.unwrap();
    tokio::time::sleep(SECOND).await;

    // No lease is extended for a while: it ends, and a free slot of ours takes the job again.
    faulty.fail_next(Operation::Extend, Side::Before, 400);
    tokio::time::sleep(60 * SECOND).await;
    assert!(faulty.calls(Operation::Reserve) > 1);

    consumer.shutdown().await.unwrap();
    assert_eq!(world.noted(), ["run until cancelled 1", "done"]);
    assert_eq!(world.queue.size("default").await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_for_ever_does_not_hold_back_another() {
    let (world, faulty) = faulty_world(Faults::new(3).reserve(0.9).only(Side::Before));
    for _ in 0..50 {
        world.queue.push(act("work")).await.unwrap();
    }
    let consumer = world.consumer().queues(["default", "other"]).workers(2).start().await.unwrap();
    tokio::time::sleep(600 * SECOND).await;
    assert_eq!(world.count("run work 1"), 50, "{faulty:?}");
    consumer.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_books_balance_on_a_faulty_store() {
    for seed in 0..40 {
        books_balance(seed).await;
    }
}

const JOBS: usize = 60;

/// Jobs that succeed, fail and fail once are worked as often as they should, whatever the store does.
pub(crate) async fn books_balance(seed: u64) {
    let faults = Faults::new(seed).push(0.2).subscribe(0.2).ready(0.1).reserve(0.2).settle(0.3).extend(0.3);
    let (world, faulty) = faulty_world(faults);
    for number in 0..JOBS {
        let draft = stream_core::Draft::new(act(&format!("{} {number}", ["ok", "fail", "once"][number % 3])));
        // The same draft again: its id is recognised if the first call was applied after all.
        while world.queue.push(draft.clone()).await.is_err() {}
    }
    let runs = world.clone();
    let handlers = Handlers::new().register::<Act>(move |job: Act, cx: Context| {
        let runs = runs.clone();
        async move {
            runs.note(format!("{} attempt {}", job.0, cx.attempt()));
            tokio::time::sleep(SECOND * (cx.attempt() % 3)).await;
            match job.0.split(' ').next() {
                Some("fail") => Err("no".into()),
                Some("once") if cx.attempt() == 1 => Err("no".into()),
                _ => JobResult::Ok(()),
            }
        }
    });
    let build = || Consumer::builder(&world.queue, handlers.clone()).workers(7).lease(20 * SECOND);
    let consumer = build().start().await.unwrap();
    tokio::time::sleep(20 * SECOND).await;
    consumer.shutdown().await.unwrap();
    faulty.calm();
    build().drain_all().await.unwrap();

    let mut counted = BTreeMap::new();
    world.noted().into_iter().for_each(|line| *counted.entry(line).or_insert(0) += 1);
    for number in 0..JOBS {
        let (kind, attempts) = [("ok", 1), ("fail", 3), ("once", 2)][number % 3];
        for attempt in 1..=attempts {
            let line = format!("{kind} {number} attempt {attempt}");
            assert_eq!(counted.remove(&line), Some(1), "seed {seed}: {line}");
        }
    }
    assert!(counted.is_empty(), "seed {seed}: ran beyond their attempts: {counted:?}");
    assert_eq!(world.dead().await.len(), JOBS / 3, "seed {seed}");
    let depth = world.queue.depth("default").await.unwrap();
    assert_eq!((depth.ready, depth.delayed, depth.reserved), (0, 0, 0), "seed {seed}");
}
