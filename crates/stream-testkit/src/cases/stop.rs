//! Stopping: what a subscription or a connection leaves behind when it ends.

use std::{slice, thread, time::Duration};

use stream_core::{Error, ErrorKind, Outcome, Reserve};
use tokio::{join, runtime, time::timeout};

use crate::{
    Stage,
    stage::{LONG_LEASE, NOT_LATER, plain_job},
};

/// Closing gives back what was not returned; what was returned stays valid.
pub async fn closing_a_subscription_leaves_its_deliveries_valid(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    let taken = stage.hold(&*subscription, 2).await;
    subscription.close().await.expect("closed");
    assert!(stage.driver().is_current(&taken[0]));
    stage.try_extend(&taken[0], LONG_LEASE).await.expect("extended");
    stage.finish(&taken).await;
    stage.assert_empty(&*stage.subscribe().await).await;
}

/// Dropping a subscription leaves its deliveries as closing does.
pub async fn dropping_a_subscription_leaves_its_deliveries_valid(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    drop(subscription);
    let next = stage.subscribe().await;
    let taken = stage.whatever_comes(&*next, Duration::from_millis(300)).await;
    assert_eq!(taken.len(), 0, "a delivery was given back");
    stage.settle(&delivery, Outcome::Done).await;
    stage.assert_empty(&*next).await;
}

/// Closing gives back at once what was fetched and not returned, counting nothing.
pub async fn closed_subscription_gives_back_what_it_had_not_returned(stage: Stage) {
    let other = stage.elsewhere().await;
    let subscription = stage.subscribe().await;
    stage.push_plain(4).await;
    stage.hold_one(&*subscription).await;
    subscription.ready(NOT_LATER).await.expect("ready answers");
    subscription.close().await.expect("closed");
    for delivery in other.hold(&*other.subscribe().await, 3).await {
        other.assert_counts(&delivery, 1, 0);
    }
}

/// Dropping a subscription gives back what was fetched and not returned, as best it can.
pub async fn dropped_subscription_gives_back_what_it_had_not_returned(stage: Stage) {
    let other = stage.elsewhere().await;
    let subscription = stage.subscribe().await;
    stage.push_plain(4).await;
    stage.hold_one(&*subscription).await;
    subscription.ready(NOT_LATER).await.expect("ready answers");
    drop(subscription);
    assert_eq!(other.hold(&*other.subscribe().await, 3).await.len(), 3);
}

/// One consumer stopping never disturbs another on the same connection.
pub async fn one_consumer_stopping_never_disturbs_another(stage: Stage) {
    let (stopping, going) = (stage.subscribe().await, stage.subscribe().await);
    stage.push_plain(1).await;
    let held = stage.hold_one(&*going).await;
    let stop = async {
        stopping.close().await.expect("closed");
        stage.push_plain(1).await
    };
    let (next, _jobs) = join!(stage.hold_one(&*going), stop);
    stage.finish(&[held, next]).await;
    stage.assert_empty(&*going).await;
}

/// One consumer that is dropped never disturbs another on the same connection.
pub async fn one_consumer_dropped_never_disturbs_another(stage: Stage) {
    let (stopping, going) = (stage.subscribe().await, stage.subscribe().await);
    stage.push_plain(1).await;
    let held = stage.hold_one(&*going).await;
    let stop = async {
        drop(stopping);
        stage.push_plain(1).await
    };
    let (next, _jobs) = join!(stage.hold_one(&*going), stop);
    stage.finish(&[held, next]).await;
    stage.assert_empty(&*going).await;
}

/// Closing a connection disturbs no other connection to the store.
pub async fn closing_one_connection_never_disturbs_another(stage: Stage) {
    let closing = stage.elsewhere().await;
    let subscription = stage.subscribe().await;
    closing.push_plain(1).await;
    let stop = async {
        closing.driver().close().await.expect("closed");
        stage.push_plain(1).await
    };
    let (taken, _jobs) = join!(stage.hold(&*subscription, 2), stop);
    stage.finish(&taken).await;
    stage.assert_empty(&*subscription).await;
}

/// Calls on a closed connection are answered `Unavailable`.
pub async fn calls_after_close_are_answered_unavailable(stage: Stage) {
    let closed = stage.elsewhere().await;
    let (driver, queue) = (closed.driver(), closed.queue());
    stage.push_plain(1).await;
    let subscription = closed.subscribe().await;
    let delivery = closed.hold_one(&*subscription).await;
    driver.close().await.expect("closed");

    let mut refused = vec![
        ("push", closed.try_push(slice::from_ref(&plain_job())).await.remove(0).err()),
        ("settle", closed.try_settle(&delivery, Outcome::Done).await.err()),
        ("extend", closed.try_extend(&delivery, LONG_LEASE).await.err()),
        ("subscribe", driver.subscribe(slice::from_ref(queue)).await.err()),
        ("ready", subscription.ready(Duration::ZERO).await.err()),
        ("reserve", subscription.reserve(queue, Reserve::new(1)).await.err()),
        ("depth", driver.depth(queue).await.err()),
        ("clear", driver.clear(queue).await.err()),
    ];
    if let Some(dead) = driver.dead_letters() {
        refused.push(("count", dead.count(queue).await.err()));
        refused.push(("list", dead.list(queue, None, 1).await.err()));
    }
    for (call, error) in refused {
        let kind = error.as_ref().map(Error::kind);
        assert_eq!(kind, Some(&ErrorKind::Unavailable), "{call}: {error:?}");
    }
}

/// A connection that was made on a runtime which is gone answers; it does not hang.
pub async fn connection_of_a_runtime_that_is_gone_answers(stage: Stage) {
    let maker = stage.clone();
    let made = thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let other = maker.elsewhere().await;
            other.push_plain(1).await;
            other
        })
    });
    let orphan = made.join().expect("a connection is made");
    let answers = timeout(NOT_LATER, orphan.try_push(&[plain_job(), plain_job()])).await;
    let answers = answers.expect("it answers in time");
    assert_eq!(answers.len(), 2, "one answer for each job");
    // Either it works or it says in a typed way that it cannot.
    let stored = answers.iter().filter(|answer| answer.is_ok()).count();
    let taken = stage.hold(&*stage.subscribe().await, 1 + stored).await;
    assert_eq!(taken.len(), 1 + stored);
}
