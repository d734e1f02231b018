//! Concurrent single pushes share calls of the driver, and nothing else.

use std::{future::poll_fn, task::Poll, time::Duration};

use stream_core::{ErrorKind, Pushed};
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    World, act,
    distant::{Distant, TRIP},
};

async fn size(world: &World, queue: &str) -> u64 {
    world.queue.size(queue).await.unwrap()
}

/// Polls a push once, so that it is under way.
async fn begun<F: Future + Unpin>(push: &mut F) {
    poll_fn(|cx| {
        assert!(std::pin::Pin::new(&mut *push).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lone_push_and_a_pair_go_straight_to_the_store() {
    let (world, distant) = Distant::world(|_| {});
    let start = Instant::now();

    world.queue.push(act("one")).await.unwrap();
    let (one, two) = tokio::join!(world.queue.push(act("two")), world.queue.push(act("three")));
    one.unwrap();
    two.unwrap();

    assert_eq!(distant.pushed(), [1, 1, 1]);
    assert_eq!(start.elapsed(), 2 * TRIP);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_at_once_share_a_few_calls_and_each_has_its_own_answer() {
    let (world, distant) = Distant::world(|_| {});
    let start = Instant::now();
    let mut pushes = JoinSet::new();
    for at in 0..100 {
        // Every second one has the key of the one before.
        let push = world.queue.push(act("work")).unique(format!("key {}", at / 2));
        pushes.spawn(async move { (push.id(), push.await.unwrap()) });
    }
    let answers = pushes.join_all().await;

    let stored = answers.iter().filter(|(id, answer)| *answer == Pushed::Stored(*id)).count();
    let duplicates = answers.iter().filter(|(id, answer)| answer.id() != *id).count();
    assert_eq!((stored, duplicates, size(&world, "default").await), (50, 50, 50));
    assert!(start.elapsed() <= 3 * TRIP, "{:?}", start.elapsed());
    assert!(distant.pushed().len() <= 4, "{:?}", distant.pushed());
}

#[tokio::test(start_paused = true)]
async fn no_call_is_larger_than_the_batch_that_pays() {
    let (world, distant) = Distant::world(|capabilities| capabilities.batch = 10);
    let mut pushes = JoinSet::new();
    for _ in 0..50 {
        pushes.spawn(world.queue.push(act("work")).into_future());
    }
    for answer in pushes.join_all().await {
        answer.unwrap();
    }

    assert_eq!(distant.pushed().into_iter().max(), Some(10));
    assert_eq!(size(&world, "default").await, 50);
}

#[tokio::test(start_paused = true)]
async fn a_queue_does_not_wait_for_another() {
    let (world, _) = Distant::world(|_| {});
    let start = Instant::now();
    let mut pushes = JoinSet::new();
    for at in 0..50 {
        pushes.spawn(world.queue.push(act("work")).on_queue(format!("queue-{at}")).into_future());
    }
    for answer in pushes.join_all().await {
        answer.unwrap();
    }

    assert_eq!(start.elapsed(), TRIP);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_push_takes_no_other_with_it() {
    let (world, distant) = Distant::world(|_| {});
    let mut pushes: Vec<_> = (0..6).map(|_| world.queue.push(act("work")).into_future()).collect();
    for push in &mut pushes {
        begun(push).await;
    }
    // One that went straight, and one that waits for the call of the others.
    drop(pushes.remove(0));
    drop(pushes.remove(1));
    for push in pushes {
        push.await.unwrap();
    }

    assert_eq!(size(&world, "default").await, 4, "the dropped ones were not sent, all others were");
    assert_eq!((distant.pushed(), distant.pushing()), (vec![1, 1, 3], 0));
}

#[tokio::test(start_paused = true)]
async fn pushes_go_on_after_all_that_wait_were_dropped() {
    let (world, _) = Distant::world(|_| {});
    let mut pushes: Vec<_> = (0..5).map(|_| world.queue.push(act("work")).into_future()).collect();
    for push in &mut pushes {
        begun(push).await;
    }
    drop(pushes);
    sleep(10 * TRIP).await;

    let more: Vec<_> = (0..5).map(|_| tokio::spawn(world.queue.push(act("work")).into_future())).collect();
    for push in more {
        push.await.unwrap().unwrap();
    }
    assert!(size(&world, "default").await >= 5);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_leaves_the_outcome_unknown_and_the_next_push_works() {
    let (world, distant) = Distant::world(|_| {});
    let mut pushes: Vec<_> = (0..6).map(|_| world.queue.push(act("work")).into_future()).collect();
    for push in &mut pushes[..2] {
        begun(push).await;
    }
    let waiting: Vec<_> = pushes.split_off(2).into_iter().map(tokio::spawn).collect();
    for push in pushes {
        push.await.unwrap();
    }
    distant.panic_at("push", 1);
    for push in waiting {
        let error = push.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::OutcomeUnknown, "{error}");
    }
    assert_eq!(distant.panics_left("push"), 0);
    world.queue.push(act("work")).await.unwrap();
}

#[test]
fn a_runtime_that_ends_takes_no_push_of_another_with_it() {
    let runtime = || Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let (world, distant) = second.block_on(async { Distant::world(|_| {}) });
    distant.farther_by(Duration::from_secs(1));
    let push = || world.queue.push(act("work")).into_future();
    // The third is with the task that sends for those who wait: it belongs to the first runtime.
    for _ in 0..3 {
        first.spawn(push());
    }
    while distant.pushing() < 3 {
        std::thread::yield_now();
    }
    let others: Vec<_> = (0..10).map(|_| second.spawn(push())).collect();
    second.block_on(tokio::task::yield_now());
    first.shutdown_background();

    for push in others {
        second.block_on(push).unwrap().unwrap();
    }
}
