//! Reserve: takes what is ready, never waits, no job twice.

use std::{collections::BTreeSet, time::Duration};

use stream_core::{Error, ErrorKind, Outcome, RECEIPT_BYTES_MAX, Reserve};
use tokio::time::timeout;

use crate::{
    Stage,
    stage::{LONG_LEASE, NOT_LATER, ids, job_ids, release_now, retry_now},
};

/// Never waits for work.
pub async fn reserve_never_waits_for_work(stage: Stage) {
    let subscription = stage.subscribe().await;
    let answer = timeout(NOT_LATER, subscription.reserve(stage.queue(), Reserve::new(1))).await;
    assert_eq!(answer.expect("reserve does not wait").expect("reserved").len(), 0);
}

/// Takes up to `max_jobs`.
pub async fn reserve_takes_at_most_max_jobs(stage: Stage) {
    let subscription = stage.subscribe().await;
    let jobs = stage.push_plain(5).await;
    let mut taken = Vec::new();
    while taken.len() < 5 {
        let more = stage.hold_up_to(&*subscription, 2).await;
        assert!(more.len() <= 2, "{} jobs were taken", more.len());
        taken.extend(more);
    }
    assert_eq!(ids(&taken), job_ids(&jobs));
}

/// A reserved job is nobody else's, on this connection or another.
pub async fn reserved_job_is_not_taken_by_another_subscription(stage: Stage) {
    let other = stage.elsewhere().await;
    let mine = stage.subscribe().await;
    stage.push_plain(1).await;
    stage.hold_one(&*mine).await;
    for (stage, subscription) in [(&stage, stage.subscribe().await), (&other, other.subscribe().await)] {
        let taken = stage.whatever_comes(&*subscription, Duration::from_millis(300)).await;
        assert_eq!(taken.len(), 0, "the job was taken twice");
    }
}

/// `Config` for a queue that was not subscribed to; nothing was taken.
pub async fn reserve_of_a_queue_that_was_not_subscribed_is_refused(stage: Stage) {
    let stranger = stage.another_queue();
    let subscription = stage.subscribe().await;
    stranger.push_plain(1).await;
    let refused = subscription.reserve(stranger.queue(), Reserve::new(1).lease(LONG_LEASE)).await;
    assert_eq!(refused.as_ref().map_err(Error::kind).map(Vec::len), Err(&ErrorKind::Config));
    let delivery = stranger.hold_one(&*stranger.subscribe().await).await;
    stage.assert_counts(&delivery, 1, 0);
}

/// Takes from the queue that is named, of all that were subscribed.
pub async fn reserve_takes_only_from_the_queue_it_names(stage: Stage) {
    let other = stage.another_queue();
    let queues = [stage.queue().clone(), other.queue().clone()];
    let subscription = stage.driver().subscribe(&queues).await.expect("subscribed");
    let (mine, theirs) = (stage.push_plain(2).await, other.push_plain(2).await);
    assert_eq!(ids(&stage.hold(&*subscription, 2).await), job_ids(&mine));
    assert_eq!(ids(&other.hold(&*subscription, 2).await), job_ids(&theirs));
}

/// A receipt is good for one delivery: two never share one.
pub async fn each_delivery_has_a_receipt_of_its_own(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    let mut receipts = BTreeSet::new();
    for outcome in [retry_now(), release_now(), Outcome::Done] {
        for delivery in stage.hold(&*subscription, 2).await {
            assert!(receipts.insert(delivery.receipt.as_bytes().to_vec()), "a receipt came twice");
            stage.settle(&delivery, outcome.clone()).await;
        }
    }
}

/// A receipt has at most `RECEIPT_BYTES_MAX` bytes.
pub async fn receipts_have_at_most_a_kibibyte(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    let bytes = delivery.receipt.as_bytes().len();
    assert!((1..=RECEIPT_BYTES_MAX).contains(&bytes), "the receipt has {bytes} bytes");
}

/// Nothing speaks against a delivery that was just taken.
pub async fn fresh_delivery_is_current(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    assert!(stage.driver().is_current(&delivery));
}
