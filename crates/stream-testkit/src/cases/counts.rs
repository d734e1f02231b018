//! Counts: `attempt` rises with a retry, `lost` with a delivery that had no outcome.

use stream_core::{Delivery, Fence, Outcome, Subscription};

use crate::{
    Stage,
    stage::{assert_lease_lost, assert_ok_or_lease_lost, release_now, retry_now, take_over},
};

/// A first delivery has no past.
pub async fn first_delivery_has_attempt_one_and_lost_zero(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.assert_counts(&delivery, 1, 0);
}

/// `attempt` is 1 plus the deliveries ended by `Retry`.
pub async fn attempt_is_one_plus_retries(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    for attempt in 1..=4 {
        let delivery = stage.hold_one(&*subscription).await;
        stage.assert_counts(&delivery, attempt, 0);
        stage.settle(&delivery, retry_now()).await;
    }
}

/// `lost` is the deliveries that ended with no outcome.
pub async fn lost_rises_when_a_lease_ends_without_outcome(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    for lost in 0..=2 {
        let delivery = lose(&stage, &*subscription).await;
        stage.assert_counts(&delivery, 1, lost);
    }
}

/// A connection that goes takes its leases with it, sooner or later: `lost` rises.
pub async fn lost_rises_when_the_connection_goes(stage: Stage) {
    let gone = stage.elsewhere().await;
    let subscription = gone.subscribe().await;
    stage.push_plain(1).await;
    lose(&gone, &*subscription).await;
    drop(subscription);
    gone.driver().close().await.expect("closed");
    let delivery = stage.hold_one(&*stage.subscribe().await).await;
    stage.assert_counts(&delivery, 1, 1);
}

/// `Release` counts in neither.
pub async fn release_counts_neither_attempt_nor_lost(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    for _ in 0..3 {
        let delivery = stage.hold_one(&*subscription).await;
        stage.assert_counts(&delivery, 1, 0);
        stage.settle(&delivery, release_now()).await;
    }
}

/// A release keeps both counts as they were.
pub async fn release_keeps_the_counts_so_far(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let first = stage.hold_one(&*subscription).await;
    stage.settle(&first, retry_now()).await;
    lose(&stage, &*subscription).await;
    for _ in 0..2 {
        let delivery = stage.hold_one(&*subscription).await;
        stage.assert_counts(&delivery, 2, 1);
        stage.settle(&delivery, release_now()).await;
    }
}

/// The two counts are kept apart: a retry keeps `lost`, a lost delivery keeps `attempt`.
pub async fn retry_keeps_lost_and_a_loss_keeps_attempt(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    lose(&stage, &*subscription).await;
    let second = stage.hold_one(&*subscription).await;
    stage.settle(&second, retry_now()).await;
    let third = lose(&stage, &*subscription).await;
    stage.assert_counts(&third, 2, 1);
    let fourth = stage.hold_one(&*subscription).await;
    stage.assert_counts(&fourth, 2, 2);
}

/// An extension counts nothing.
pub async fn extension_counts_nothing(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.try_extend(&delivery, stage.lease()).await.expect("extended");
    stage.settle(&delivery, release_now()).await;
    let again = stage.hold_one(&*subscription).await;
    stage.assert_counts(&again, 1, 0);
}

/// An outcome that is refused counts nothing.
pub async fn refused_outcome_counts_nothing(stage: Stage) {
    stage.push_plain(1).await;
    let (zombie, other, subscription, current) = take_over(&stage).await;
    let answer = stage.try_settle(&zombie, retry_now()).await;
    if stage.capabilities().fence == Fence::BestEffort {
        return assert_ok_or_lease_lost(&answer);
    }
    assert_lease_lost(&answer);
    other.settle(&current, release_now()).await;
    let again = other.hold_one(&*subscription).await;
    other.assert_counts(&again, 1, 1);
    other.settle(&again, Outcome::Done).await;
}

/// Takes the job on a short lease and leaves it to its end; the delivery that is lost.
async fn lose(stage: &Stage, subscription: &dyn Subscription) -> Delivery {
    stage.take_one(subscription).await
}
