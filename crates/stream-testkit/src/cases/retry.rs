//! Retry and release: not before their time, with the error, the job unchanged.

use std::{slice, time::Duration};

use stream_core::{Backoff, Delivery, Draft, NewJob, Outcome, Settlement, Subscription};
use tokio::time::{Instant, timeout};

use crate::{
    Stage,
    stage::{NOT_LATER, plain_job, plain_jobs, release_after, release_now, retry_after},
};

/// `Retry` makes the job ready not before `after`.
pub async fn retry_waits_at_least_its_delay(stage: Stage) {
    let after = short(&stage);
    waits_at_least(&stage, after, retry_after(after)).await;
}

/// `Release` makes the job ready not before `after`.
pub async fn release_after_waits_at_least_its_delay(stage: Stage) {
    let after = short(&stage);
    waits_at_least(&stage, after, release_after(after)).await;
}

/// Each settlement of a batch has its own wait.
pub async fn retries_of_one_batch_are_each_kept(stage: Stage) {
    let step = short(&stage);
    if !promises(&stage, step * 2) {
        return;
    }
    let subscription = stage.subscribe().await;
    let jobs = stage.push_plain(3).await;
    let taken = stage.hold(&*subscription, 3).await;
    let waits = [step * 2, Duration::ZERO, step];
    let settled = Instant::now();
    settle_each(&stage, &taken, &waits.map(retry_after)).await;
    for _ in &jobs {
        let again = stage.hold_one(&*subscription).await;
        let place = taken.iter().position(|delivery| delivery.id() == again.id()).expect("one of the three");
        assert!(settled.elapsed() >= waits[place], "{:?} came after {:?}", waits[place], settled.elapsed());
    }
}

/// A job that waits for its retry holds back no other.
pub async fn retrying_job_holds_back_no_ready_job(stage: Stage) {
    let after = Duration::from_secs(60);
    if !promises(&stage, after) {
        return;
    }
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, retry_after(after)).await;
    let job = plain_job();
    stage.push(slice::from_ref(&job)).await;
    assert_eq!(stage.hold_one(&*subscription).await.id(), Some(job.envelope.id));
}

/// Any wait up to the promised maximum is kept.
pub async fn longest_promised_retry_delay_is_kept(stage: Stage) {
    let longest = stage.capabilities().retry_delay.max();
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    if longest.is_zero() {
        return stage.assert_unsupported(&with_backoff(Duration::from_millis(1)));
    }
    stage.settle(&delivery, retry_after(longest)).await;
    stage.assert_nothing_comes(&*subscription, Duration::from_millis(300)).await;
}

/// A backoff that may grow beyond the longest retry delay is refused at the push.
pub async fn backoff_beyond_the_longest_retry_delay_is_refused(stage: Stage) {
    let longest = stage.capabilities().retry_delay.max();
    stage.capabilities().allows(&with_backoff(longest)).expect("the longest is allowed");
    let beyond = with_backoff(longest + Duration::from_millis(1));
    if longest == stream_core::LONGEST {
        // No connection promises more; the job itself is wrong.
        beyond.validate().expect_err("the backoff is refused");
    } else {
        stage.assert_unsupported(&beyond);
    }
}

/// The envelope that comes back is the one that was pushed.
pub async fn retried_job_comes_back_unchanged(stage: Stage) {
    let subscription = stage.subscribe().await;
    let mut job = plain_job();
    job.envelope.headers.insert("trace".into(), "00-1-2-01".into());
    job.envelope.timeout = Some(Duration::from_secs(5));
    stage.push(slice::from_ref(&job)).await;
    for outcome in [retry_after(Duration::ZERO), release_now()] {
        let delivery = stage.hold_one(&*subscription).await;
        stage.settle(&delivery, outcome).await;
    }
    assert_eq!(stage.hold_one(&*subscription).await.envelope, Ok(job.envelope));
}

/// A first delivery has no error.
pub async fn first_delivery_has_no_error(stage: Stage) {
    stage.push_plain(1).await;
    assert_eq!(stage.hold_one(&*stage.subscribe().await).await.last_error, None);
}

/// The error of the last `Retry` comes back, where the store keeps it.
pub async fn last_error_comes_back(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    for error in ["disk full", "disk still full"] {
        let delivery = stage.hold_one(&*subscription).await;
        stage.settle(&delivery, failed(error)).await;
    }
    assert_last_error(&stage, &*subscription, "disk still full").await;
}

/// A release keeps the error of the retry before it.
pub async fn release_keeps_the_last_error(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    for outcome in [failed("disk full"), release_now()] {
        let delivery = stage.hold_one(&*subscription).await;
        stage.settle(&delivery, outcome).await;
    }
    assert_last_error(&stage, &*subscription, "disk full").await;
}

/// A delivery that is lost keeps the error of the retry before it.
pub async fn loss_keeps_the_last_error(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, failed("disk full")).await;
    stage.take_one(&*subscription).await;
    assert_last_error(&stage, &*subscription, "disk full").await;
}

/// Each job of a batch of retries keeps its own error.
pub async fn errors_of_one_batch_are_each_kept(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push(&plain_jobs(3)).await;
    let taken = stage.hold(&*subscription, 3).await;
    let outcomes: Vec<_> = taken.iter().map(|it| failed(&format!("{:?} failed", it.id()))).collect();
    settle_each(&stage, &taken, &outcomes).await;
    for delivery in stage.hold(&*subscription, 3).await {
        let expected = format!("{:?} failed", delivery.id());
        assert_eq!(delivery.last_error, stage.capabilities().last_error.is_yes().then_some(expected));
    }
}

/// A job that fails by hand waits for its backoff, and is buried when its attempts are used up.
pub async fn failed_job_waits_for_its_backoff_and_is_buried_at_the_end(stage: Stage) {
    let wait = short(&stage);
    if !promises(&stage, wait) {
        return;
    }
    let queue = stage.manager();
    let backoff = Backoff::fixed(wait).jitter(0.0);
    let job = Draft::raw("case", vec![1]).on_queue(stage.queue()).max_attempts(2).backoff(backoff);
    queue.push(job).await.expect("stored");

    let reserved = queue.pop(stage.queue().as_str()).await.expect("popped").expect("a job");
    let failed = Instant::now();
    let outcome = reserved.fail("disk full").await.expect("settled");
    assert_eq!(outcome, Outcome::Retry { after: wait, error: "disk full".into() });

    let subscription = stage.subscribe().await;
    let again = stage.hold_one(&*subscription).await;
    assert!(failed.elapsed() >= wait, "it came after {:?}", failed.elapsed());
    stage.settle(&again, Outcome::Release { after: Duration::ZERO }).await;
    // A subscription that has just asked may hold what comes next for a while.
    subscription.close().await.expect("closed");

    let reserved = timeout(NOT_LATER, async {
        loop {
            // What crossed the close on its way is given back a moment after it.
            if let Some(reserved) = queue.pop(stage.queue().as_str()).await.expect("popped") {
                break reserved;
            }
        }
    });
    let reserved = reserved.await.expect("a job in time");
    let outcome = reserved.fail("disk full").await.expect("settled");
    assert_eq!(outcome, Outcome::Bury { error: "disk full".into() });
    stage.assert_none_waits(&*stage.subscribe().await).await;
}

/// A wait that is worth waiting for: short, but no less than the store's smallest step.
fn short(stage: &Stage) -> Duration {
    Duration::from_millis(300).max(stage.capabilities().retry_delay.grain())
}

fn failed(error: &str) -> Outcome {
    Outcome::Retry { after: Duration::ZERO, error: error.into() }
}

fn with_backoff(wait: Duration) -> NewJob {
    let mut job = plain_job();
    job.envelope.backoff = Backoff::fixed(wait).jitter(0.0).up_to(wait);
    job
}

/// Whether the connection keeps this wait; if not, that it is refused is asserted.
fn promises(stage: &Stage, wait: Duration) -> bool {
    let is_kept = wait <= stage.capabilities().retry_delay.max();
    if !is_kept {
        stage.assert_unsupported(&with_backoff(wait));
    }
    is_kept
}

/// Ends each delivery with its own outcome, all in one call.
async fn settle_each(stage: &Stage, deliveries: &[Delivery], outcomes: &[Outcome]) {
    let pairs = deliveries.iter().zip(outcomes);
    let settlements: Vec<_> = pairs.map(|(delivery, outcome)| Settlement::new(delivery, outcome)).collect();
    for answer in stage.driver().settle(stage.queue(), &settlements).await {
        answer.expect("settled");
    }
}

async fn waits_at_least(stage: &Stage, after: Duration, outcome: Outcome) {
    if !promises(stage, after) {
        return;
    }
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    let settled = Instant::now();
    stage.settle(&delivery, outcome).await;
    stage.hold_one(&*subscription).await;
    assert!(settled.elapsed() >= after, "it came after {:?}", settled.elapsed());
}

/// Takes the job; its last error is this, or none where the store keeps none.
async fn assert_last_error(stage: &Stage, subscription: &dyn Subscription, error: &str) {
    let delivery = stage.hold_one(subscription).await;
    let is_kept = stage.capabilities().last_error.is_yes();
    assert_eq!(delivery.last_error.as_deref(), is_kept.then_some(error));
}
