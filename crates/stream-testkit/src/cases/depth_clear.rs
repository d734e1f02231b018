//! Depth and clear: what is counted where, and what a clear takes and leaves.

use std::{slice, time::Duration};

use stream_core::{Depth, NewJob, Outcome, Precision, Pushed, Subscription};
use tokio::time::Instant;

use crate::{
    Stage,
    stage::{NOT_LATER, bury, ids, job_ids, plain_job, release_now, retry_after, retry_now},
};

/// Longer than any case runs.
const LONG: Duration = Duration::from_secs(60);
/// A short while in which a job would come if there were one.
const A_WHILE: Duration = Duration::from_millis(300);

/// Ready, delayed, reserved and dead jobs are each counted where they belong.
pub async fn depth_counts_ready_delayed_reserved_and_dead(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    let taken = stage.hold(&*subscription, 2).await;
    stage.settle(&taken[0], bury()).await;
    stage.push_plain(3).await;
    let delayed = push_delayed(&stage, &[LONG; 4]).await;
    let depth = stage.depth().await;
    match stage.capabilities().depth {
        Precision::Exact => {
            assert_eq!((depth.ready, depth.delayed, depth.reserved), (3, delayed.len() as u64, 1));
            assert!(depth.dead.is_none_or(|dead| dead == 1), "{:?} dead letters", depth.dead);
        }
        Precision::ReadyOnly => assert_eq!((depth.delayed, depth.reserved), (0, 0), "both are unknown"),
        // An estimate may be late: that it answers is all that can be asserted.
        _ => {}
    }
}

/// A queue that nothing was pushed to is empty.
pub async fn depth_of_a_queue_that_is_not_there_is_zero(stage: Stage) {
    let Depth { ready, delayed, reserved, dead, .. } = stage.depth().await;
    assert_eq!((ready, delayed, reserved, dead.unwrap_or(0)), (0, 0, 0, 0));
}

/// A job whose lease has ended could be taken now: it counts as ready.
pub async fn depth_counts_an_ended_lease_as_ready(stage: Stage) {
    if !is_exact(&stage).await {
        return;
    }
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    stage.take_one(&*subscription).await;
    wait_until_ready(&stage, &*subscription).await;
    let depth = stage.depth().await;
    assert_eq!((depth.ready, depth.delayed, depth.reserved), (1, 0, 0));
}

/// A job that waits for its retry counts as delayed, one whose wait is over as ready.
pub async fn depth_counts_a_retrying_job_as_delayed_until_it_is_due(stage: Stage) {
    if !is_exact(&stage).await {
        return;
    }
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    let taken = stage.hold(&*subscription, 2).await;
    stage.settle(&taken[0], retry_after(LONG)).await;
    let after = Duration::from_millis(200).max(stage.capabilities().retry_delay.grain());
    stage.settle(&taken[1], retry_after(after)).await;
    wait_until_ready(&stage, &*subscription).await;
    let depth = stage.depth().await;
    assert_eq!((depth.ready, depth.delayed, depth.reserved), (1, 1, 0));
}

/// What other queues hold is not counted.
pub async fn depth_counts_its_own_queue_alone(stage: Stage) {
    if !is_exact(&stage).await {
        return;
    }
    let other = stage.another_queue();
    stage.push_plain(3).await;
    other.push_plain(1).await;
    assert_eq!((stage.depth().await.ready, other.depth().await.ready), (3, 1));
}

/// The size of a queue is what waits: ready and delayed jobs, not the reserved ones.
pub async fn size_is_ready_and_delayed(stage: Stage) {
    if !is_exact(&stage).await {
        return;
    }
    let subscription = stage.subscribe().await;
    stage.push_plain(3).await;
    stage.hold_one(&*subscription).await;
    let delayed = push_delayed(&stage, &[LONG; 4]).await;
    let size = stage.manager().size(stage.queue().as_str()).await.expect("answered");
    assert_eq!(size, 2 + delayed.len() as u64);
}

/// Removes the waiting jobs; those reserved and dead are kept.
pub async fn clear_removes_waiting_jobs_and_keeps_reserved_and_dead(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    let taken = stage.hold(&*subscription, 2).await;
    stage.settle(&taken[1], bury()).await;
    subscription.close().await.expect("closed");
    stage.push_plain(3).await;
    let cleared = stage.driver().clear(stage.queue()).await.expect("cleared");
    if stage.capabilities().depth == Precision::Exact {
        assert!(cleared.waiting.is_none_or(|count| count == 3), "{:?} jobs", cleared.waiting);
    }
    let subscription = stage.subscribe().await;
    stage.assert_nothing_comes(&*subscription, A_WHILE).await;
    stage.assert_letters(1).await;
    stage.settle(&taken[0], Outcome::Done).await;
}

/// A delayed job that was cleared never comes; where delayed jobs are kept, that is said.
pub async fn cleared_delayed_jobs_do_not_come_when_they_are_due(stage: Stage) {
    let delay = Duration::from_millis(400).max(stage.capabilities().push_delay.grain());
    let jobs = push_delayed(&stage, &[delay; 3]).await;
    let cleared = stage.driver().clear(stage.queue()).await.expect("cleared");
    assert_eq!(cleared.delayed_too, stage.capabilities().clear_delayed.is_yes(), "what is promised");
    let subscription = stage.subscribe().await;
    if cleared.delayed_too {
        stage.assert_nothing_comes(&*subscription, delay * 2).await;
    } else {
        assert_eq!(ids(&stage.hold(&*subscription, jobs.len()).await), job_ids(&jobs));
    }
}

/// A job that waits for its retry is a waiting job: a clear takes it as it takes the delayed ones.
pub async fn cleared_retrying_job_does_not_come_when_it_is_due(stage: Stage) {
    let after = Duration::from_millis(400).max(stage.capabilities().retry_delay.grain());
    if stage.capabilities().retry_delay.max() < after {
        let mut job = plain_job();
        job.envelope.backoff = stream_core::Backoff::fixed(after);
        return stage.assert_unsupported(&job);
    }
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, retry_after(after)).await;
    let cleared = stage.driver().clear(stage.queue()).await.expect("cleared");
    if cleared.delayed_too {
        stage.assert_nothing_comes(&*subscription, after * 2).await;
    } else {
        assert_eq!(stage.hold_one(&*subscription).await.id(), delivery.id());
    }
}

/// A job reserved during a clear waits as usual once it is retried or released.
pub async fn job_reserved_during_a_clear_comes_again_after_retry_and_release(stage: Stage) {
    let subscription = stage.subscribe().await;
    let jobs = stage.push_plain(2).await;
    let taken = stage.hold(&*subscription, 2).await;
    stage.driver().clear(stage.queue()).await.expect("cleared");
    stage.settle(&taken[0], retry_now()).await;
    stage.settle(&taken[1], release_now()).await;
    assert_eq!(ids(&stage.hold(&*subscription, 2).await), job_ids(&jobs));
}

/// A job whose lease has ended counts as waiting: a clear takes it.
pub async fn clear_takes_a_job_whose_lease_has_ended(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    stage.take_one(&*subscription).await;
    wait_until_ready(&stage, &*subscription).await;
    // What a store fetched ahead goes back, so that the clear finds it.
    subscription.close().await.expect("closed");
    stage.driver().clear(stage.queue()).await.expect("cleared");
    stage.assert_nothing_comes(&*stage.subscribe().await, A_WHILE * 2).await;
}

/// Clears its own queue, no other; an empty one without complaint.
pub async fn clear_leaves_other_queues_alone(stage: Stage) {
    let other = stage.another_queue();
    let jobs = other.push_plain(2).await;
    let cleared = stage.driver().clear(stage.queue()).await.expect("cleared");
    assert_eq!(cleared.waiting.unwrap_or(0), 0);
    assert_eq!(ids(&other.hold(&*other.subscribe().await, 2).await), job_ids(&jobs));
}

/// A push after a clear is stored, be it of an id that the clear took.
pub async fn jobs_pushed_after_a_clear_are_stored(stage: Stage) {
    let jobs = stage.push_plain(2).await;
    stage.driver().clear(stage.queue()).await.expect("cleared");
    for (answer, job) in stage.try_push(&jobs).await.into_iter().zip(&jobs) {
        assert_eq!(answer.expect("stored"), Pushed::Stored(job.envelope.id));
    }
    assert_eq!(ids(&stage.hold(&*stage.subscribe().await, 2).await), job_ids(&jobs));
}

/// Pushes a job for each delay, if they are kept; that they are refused is asserted otherwise.
async fn push_delayed(stage: &Stage, delays: &[Duration]) -> Vec<NewJob> {
    let mut jobs = Vec::new();
    for delay in delays {
        let mut job = plain_job();
        job.delay = *delay;
        if stage.capabilities().push_delay.max() < *delay {
            stage.assert_unsupported(&job);
            continue;
        }
        stage.push(slice::from_ref(&job)).await;
        jobs.push(job);
    }
    jobs
}

/// Whether the depth is exact; if not, that it answers is asserted.
async fn is_exact(stage: &Stage) -> bool {
    stage.depth().await;
    stage.capabilities().depth == Precision::Exact
}

/// Waits until the queue has a job that could be taken, and takes none.
async fn wait_until_ready(stage: &Stage, subscription: &dyn Subscription) {
    let deadline = Instant::now() + NOT_LATER;
    loop {
        let named = subscription.ready(NOT_LATER).await.expect("ready answers");
        assert!(named.contains(stage.queue()) && Instant::now() < deadline, "no job became ready");
        if stage.capabilities().depth != Precision::Exact || stage.depth().await.ready > 0 {
            return;
        }
    }
}
