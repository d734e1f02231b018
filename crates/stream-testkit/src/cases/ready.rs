//! Ready: says where work may be, and takes none of it.

use std::{collections::BTreeSet, time::Duration};

use stream_core::{Error, ErrorKind, Outcome, Precision, QueueName, Subscription};
use tokio::time::{Instant, timeout};

use crate::{Stage, stage::NOT_LATER};

/// A zero `wait` asks the store once.
pub async fn ready_with_zero_wait_answers_at_once(stage: Stage) {
    let subscription = stage.subscribe().await;
    // The first call of all may have to wait until the store can be asked: a group that is joined.
    for limit in [Duration::from_secs(10), NOT_LATER] {
        let answer = timeout(limit, subscription.ready(Duration::ZERO)).await;
        answer.expect("ready does not wait").expect("ready answers");
    }
}

/// Leaving out a queue that has work is not fine, with a zero `wait` as well.
pub async fn ready_with_zero_wait_names_a_queue_that_has_work(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let deadline = Instant::now() + NOT_LATER;
    // More than once, for the grain that a store may document.
    while !subscription.ready(Duration::ZERO).await.expect("ready answers").contains(stage.queue()) {
        assert!(Instant::now() < deadline, "the queue was never named");
    }
}

/// Resolves with nothing after `wait`.
pub async fn ready_answers_with_nothing_after_its_wait(stage: Stage) {
    let subscription = stage.subscribe().await;
    let wait = Duration::from_millis(200);
    let deadline = Instant::now() + NOT_LATER;
    loop {
        let asked = Instant::now();
        let answer = timeout(NOT_LATER, subscription.ready(wait)).await.expect("the wait ends");
        if answer.expect("ready answers").is_empty() {
            assert!(asked.elapsed() >= wait, "it answered after {:?}", asked.elapsed());
            return;
        }
        assert!(Instant::now() < deadline, "an empty queue is named for ever");
    }
}

/// Work that was pushed before the subscription is found.
pub async fn ready_finds_work_that_is_older_than_the_subscription(stage: Stage) {
    stage.push_plain(1).await;
    let subscription = stage.subscribe().await;
    assert_named(&*subscription, &[&stage]).await;
}

/// Takes nothing: whoever reserves next finds the job untouched.
pub async fn ready_takes_nothing(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    assert_named(&*subscription, &[&stage]).await;
    if stage.capabilities().depth == Precision::Exact {
        assert_eq!((stage.depth().await.ready, stage.depth().await.reserved), (1, 0), "ready, reserved");
    }
    subscription.close().await.expect("closed");
    let delivery = stage.hold_one(&*stage.subscribe().await).await;
    stage.assert_counts(&delivery, 1, 0);
}

/// A queue is named again as long as its work was not taken.
pub async fn ready_names_a_queue_until_its_work_is_taken(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    for _ in 0..3 {
        assert_named(&*subscription, &[&stage]).await;
    }
}

/// Leaving out a queue that has work is not fine.
pub async fn ready_names_every_queue_that_has_work(stage: Stage) {
    let (second, idle) = (stage.another_queue(), stage.another_queue());
    let subscription = subscribe_to(&[&stage, &second, &idle]).await;
    stage.push_plain(1).await;
    second.push_plain(1).await;
    assert_named(&*subscription, &[&stage, &second]).await;
}

/// A subscription is a place at its own queues.
pub async fn ready_names_only_queues_that_were_subscribed(stage: Stage) {
    let stranger = stage.another_queue();
    let subscription = stage.subscribe().await;
    stranger.push_plain(1).await;
    stage.push_plain(1).await;
    assert_eq!(named(&*subscription).await, [stage.queue().clone()]);
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, Outcome::Done).await;
    let later = subscription.ready(Duration::ZERO).await.expect("ready answers");
    assert!(!later.contains(stranger.queue()), "a stranger's queue is named");
}

/// `Config` for no queues.
pub async fn subscribing_to_no_queues_is_refused(stage: Stage) {
    let refused = stage.driver().subscribe(&[]).await.map(|_| ());
    assert_eq!(refused.as_ref().map_err(Error::kind), Err(&ErrorKind::Config));
}

/// Queues need not exist before somebody subscribes to them.
pub async fn subscribed_queues_need_not_exist(stage: Stage) {
    let subscription = stage.subscribe().await;
    let nothing = stage.take_now(&*subscription, 1).await;
    assert!(nothing.is_empty());
    stage.push_plain(1).await;
    stage.hold_one(&*subscription).await;
}

async fn subscribe_to(stages: &[&Stage]) -> Box<dyn Subscription> {
    let queues: Vec<_> = stages.iter().map(|stage| stage.queue().clone()).collect();
    stages[0].driver().subscribe(&queues).await.expect("subscribed")
}

/// The first answer that is not empty.
async fn named(subscription: &dyn Subscription) -> Vec<QueueName> {
    let deadline = Instant::now() + NOT_LATER;
    loop {
        let answer = timeout(NOT_LATER, subscription.ready(NOT_LATER * 2)).await.expect("ready wakes");
        let answer = answer.expect("ready answers");
        if !answer.is_empty() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no queue was named");
    }
}

/// Asks until each of these was named; one answer need not name all that come at the same time.
async fn assert_named(subscription: &dyn Subscription, stages: &[&Stage]) {
    let deadline = Instant::now() + NOT_LATER;
    let expected: BTreeSet<_> = stages.iter().map(|stage| stage.queue().clone()).collect();
    let mut found = BTreeSet::new();
    while !found.is_superset(&expected) {
        assert!(Instant::now() < deadline, "{found:?} were named, not {expected:?}");
        found.extend(named(subscription).await);
    }
}
