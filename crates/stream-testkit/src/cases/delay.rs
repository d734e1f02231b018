//! Delay: a delayed job never comes early, and holds back no other.

use std::{slice, time::Duration};

use stream_core::{NewJob, Priority};
use tokio::time::Instant;

use crate::{
    Stage,
    stage::{ids, job_ids, plain_job},
};

/// Longer than any case runs.
const LONG: Duration = Duration::from_secs(60);

/// Not delivered sooner than its delay after the push.
pub async fn delayed_job_is_not_delivered_early(stage: Stage) {
    let delay = short(&stage);
    if !promises(&stage, delay) {
        return;
    }
    let subscription = stage.subscribe().await;
    let pushed = Instant::now();
    stage.push(&[delayed(delay)]).await;
    stage.hold_one(&*subscription).await;
    assert!(pushed.elapsed() >= delay, "it came after {:?}", pushed.elapsed());
}

/// A short delay is kept, whatever longer one was pushed before.
pub async fn short_delay_behind_a_long_one_is_not_blocked(stage: Stage) {
    if !promises(&stage, LONG) {
        return;
    }
    let short = delayed(short(&stage));
    stage.push(&[delayed(LONG)]).await;
    stage.push(slice::from_ref(&short)).await;
    let taken = stage.hold_one(&*stage.subscribe().await).await;
    assert_eq!(taken.id(), Some(short.envelope.id));
}

/// Jobs that are ready pass those that wait for their time.
pub async fn delayed_job_holds_back_no_ready_job(stage: Stage) {
    if !promises(&stage, LONG) {
        return;
    }
    stage.push(&[delayed(LONG)]).await;
    let jobs = stage.push_plain(3).await;
    let taken = stage.hold(&*stage.subscribe().await, 3).await;
    assert_eq!(ids(&taken), job_ids(&jobs));
}

/// The delay comes before the priority.
pub async fn delayed_job_of_each_priority_is_not_early(stage: Stage) {
    let delay = short(&stage);
    if !promises(&stage, delay) {
        return;
    }
    let subscription = stage.subscribe().await;
    let jobs = Priority::ALL.map(|priority| {
        let mut job = delayed(delay);
        job.envelope.priority = priority;
        job
    });
    let pushed = Instant::now();
    stage.push(&jobs).await;
    for _ in &jobs {
        let delivery = stage.hold_one(&*subscription).await;
        assert!(pushed.elapsed() >= delay, "{delivery:?} came after {:?}", pushed.elapsed());
    }
}

/// Each job of a batch waits for its own delay.
pub async fn delays_of_one_batch_are_each_kept(stage: Stage) {
    let step = short(&stage);
    if !promises(&stage, step * 2) {
        return;
    }
    let subscription = stage.subscribe().await;
    let jobs = [step * 2, Duration::ZERO, step].map(delayed);
    let pushed = Instant::now();
    stage.push(&jobs).await;
    for _ in &jobs {
        let delivery = stage.hold_one(&*subscription).await;
        let job = jobs.iter().find(|job| Some(job.envelope.id) == delivery.id()).expect("one of the three");
        assert!(pushed.elapsed() >= job.delay, "{:?} came after {:?}", job.delay, pushed.elapsed());
    }
}

/// Any delay up to the promised maximum is stored.
pub async fn longest_promised_delay_is_kept(stage: Stage) {
    let longest = stage.capabilities().push_delay.max();
    if longest.is_zero() {
        return stage.assert_unsupported(&delayed(Duration::from_millis(1)));
    }
    stage.push(&[delayed(longest)]).await;
    stage.assert_nothing_comes(&*stage.subscribe().await, Duration::from_millis(300)).await;
}

/// A delay beyond the promised maximum is refused, neither cut nor ignored.
pub async fn delay_beyond_the_longest_is_refused(stage: Stage) {
    let longest = stage.capabilities().push_delay.max();
    stage.capabilities().allows(&delayed(longest)).expect("the longest is allowed");
    stage.assert_unsupported(&delayed(longest + Duration::from_millis(1)));
}

fn delayed(delay: Duration) -> NewJob {
    let mut job = plain_job();
    job.delay = delay;
    job
}

/// A delay that is worth waiting for: short, but no less than the store's smallest step.
fn short(stage: &Stage) -> Duration {
    Duration::from_millis(300).max(stage.capabilities().push_delay.grain())
}

/// Whether the connection keeps this delay; if not, that it is refused is asserted.
fn promises(stage: &Stage, delay: Duration) -> bool {
    let is_kept = delay <= stage.capabilities().push_delay.max();
    if !is_kept {
        stage.assert_unsupported(&delayed(delay));
    }
    is_kept
}
