//! Wake-up: whatever makes work wakes who waits, and no wake is lost.

use std::{future::pending, slice, time::Duration};

use stream_core::{Backoff, ErrorKind, Listing, Outcome, Reserve, Subscription};
use tokio::{
    join, select,
    time::{Instant, timeout},
};

use crate::{
    Stage,
    stage::{LONG_LEASE, NOT_LATER, bury, dropped_after, plain_job},
};

/// A push wakes who waits, from wherever it comes.
pub async fn ready_wakes_for_a_push_from_another_connection(stage: Stage) {
    let (other, subscription) = (stage.elsewhere().await, stage.subscribe().await);
    join!(stage.hold_one(&*subscription), other.push_plain(1));
}

/// A push wakes who waits on the same connection.
pub async fn ready_wakes_for_a_push_on_its_own_connection(stage: Stage) {
    let subscription = stage.subscribe().await;
    join!(stage.hold_one(&*subscription), stage.push_plain(1));
}

/// A push to any queue of a subscription wakes it.
pub async fn ready_wakes_for_each_of_its_queues(stage: Stage) {
    let queues = [stage.clone(), stage.another_queue(), stage.another_queue()];
    let names = queues.each_ref().map(|stage| stage.queue().clone());
    let subscription = stage.driver().subscribe(&names).await.expect("subscribed");
    for queue in &queues {
        let (delivery, _jobs) = join!(queue.hold_one(&*subscription), queue.push_plain(1));
        queue.settle(&delivery, Outcome::Done).await;
    }
}

/// A job whose delay ends wakes who waits, and not before.
pub async fn ready_wakes_for_a_due_job(stage: Stage) {
    let subscription = stage.subscribe().await;
    let mut job = plain_job();
    job.delay = Duration::from_millis(300).max(stage.capabilities().push_delay.grain());
    if stage.capabilities().push_delay.max() < job.delay {
        let refused = stage.capabilities().allows(&job).expect_err("the delay is refused");
        return assert!(matches!(refused.kind(), ErrorKind::Unsupported { .. }), "{refused}");
    }
    let pushed = Instant::now();
    join!(stage.hold_one(&*subscription), stage.push(slice::from_ref(&job)));
    assert!(pushed.elapsed() >= job.delay, "it came after {:?}", pushed.elapsed());
}

/// A retry whose wait ends wakes who waits, and not before.
pub async fn ready_wakes_for_a_due_retry(stage: Stage) {
    let after = Duration::from_millis(300).max(stage.capabilities().retry_delay.grain());
    wakes_after(&stage, after, Outcome::Retry { after, error: "failed".into() }).await;
}

/// A release whose wait ends wakes who waits, and not before.
pub async fn ready_wakes_for_a_due_release(stage: Stage) {
    let after = Duration::from_millis(300).max(stage.capabilities().retry_delay.grain());
    wakes_after(&stage, after, Outcome::Release { after }).await;
}

/// A lease that ends wakes who waits, on another connection as well.
pub async fn ready_wakes_for_an_ended_lease(stage: Stage) {
    let other = stage.elsewhere().await;
    let mine = stage.subscribe().await;
    stage.push_plain(1).await;
    let lost = stage.take_one(&*mine).await;
    mine.close().await.expect("closed");
    let theirs = other.subscribe().await;
    assert_eq!(other.hold_one(&*theirs).await.id(), lost.id());
}

/// A dead letter that is retried wakes who waits.
pub async fn ready_wakes_for_a_retried_dead_letter(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, bury()).await;
    let Some(dead) = stage.driver().dead_letters() else {
        return assert_eq!(stage.capabilities().dead_letters, Listing::None);
    };
    let (again, retried) = join!(stage.hold_one(&*subscription), dead.retry_all(stage.queue()));
    assert_eq!((again.id(), retried.expect("retried")), (delivery.id(), 1));
}

/// Dropping `ready` loses no wake: what it had learnt is answered by the next call.
pub async fn wake_consumed_by_a_dropped_ready_is_remembered(stage: Stage) {
    let (other, subscription) = (stage.elsewhere().await, stage.subscribe().await);
    for polls in 0.. {
        let mut waits = subscription.ready(LONG_LEASE);
        let (ended, _jobs) = join!(dropped_after(polls, waits.as_mut()), other.push_plain(1));
        // Only now, so that it was told of the push without having been asked again.
        drop(waits);
        wait_for_work(&stage, &*subscription).await;
        let delivery = stage.hold_one(&*subscription).await;
        stage.settle(&delivery, Outcome::Done).await;
        if ended.is_some() {
            return;
        }
    }
}

/// A wake that went to a consumer which does nothing reaches another.
pub async fn wake_swallowed_by_a_frozen_consumer_reaches_another(stage: Stage) {
    let other = stage.elsewhere().await;
    let (frozen, awake) = (stage.subscribe().await, other.subscribe().await);
    // A store that fetches ahead keeps what it fetched for a third of the last lease.
    stage.take_now(&*frozen, 1).await;
    let swallow = async {
        frozen.ready(LONG_LEASE).await.expect("ready answers");
        pending::<()>().await;
    };
    let work = async { join!(other.hold_one(&*awake), stage.push_plain(1)).0 };
    let taken = select! {
        biased;
        () = swallow => unreachable!("it does nothing"),
        taken = work => taken,
    };
    other.settle(&taken, Outcome::Done).await;
}

/// Work that a full-handed consumer left behind is named again.
pub async fn ready_answers_at_once_for_work_that_was_left_behind(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(3).await;
    for _ in 0..3 {
        wait_for_work(&stage, &*subscription).await;
        let request = Reserve::new(1).lease(LONG_LEASE);
        let taken = subscription.reserve(stage.queue(), request).await.expect("reserved");
        assert_eq!(taken.len(), 1, "a named queue had no work");
    }
}

async fn wait_for_work(stage: &Stage, subscription: &dyn Subscription) {
    let named = async {
        while !subscription.ready(LONG_LEASE).await.expect("ready answers").contains(stage.queue()) {}
    };
    timeout(NOT_LATER, named).await.expect("the queue is named in time");
}

/// Ends a delivery with a wait of `after`, and takes the job again while somebody waits.
async fn wakes_after(stage: &Stage, after: Duration, outcome: Outcome) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    if stage.capabilities().retry_delay.max() < after {
        // Such a wait is never asked for: the core refuses a backoff beyond the longest.
        let mut job = plain_job();
        job.envelope.backoff = Backoff::fixed(after);
        let refused = stage.capabilities().allows(&job).expect_err("the backoff is refused");
        return assert!(matches!(refused.kind(), ErrorKind::Unsupported { .. }), "{refused}");
    }
    let settled = Instant::now();
    join!(stage.hold_one(&*subscription), stage.settle(&delivery, outcome));
    assert!(settled.elapsed() >= after, "it came after {:?}", settled.elapsed());
}
