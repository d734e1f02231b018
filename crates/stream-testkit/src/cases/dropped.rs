//! Dropped futures: what was begun is done or not done, never half done.

use stream_core::{Listing, Outcome, Pushed, Reserve, Settlement};

use crate::{
    Stage,
    stage::{
        LONG_LEASE, assert_ok_or_lease_lost, bury, dropped_after, ids, job_ids, plain_jobs, release_now,
        retry_now,
    },
};

/// A push that is dropped anywhere has stored each job once or not at all.
pub async fn push_dropped_anywhere_is_done_or_not_done(stage: Stage) {
    let subscription = stage.subscribe().await;
    for polls in 0.. {
        let jobs = plain_jobs(3);
        let ended = dropped_after(polls, stage.driver().push(stage.queue(), &jobs)).await;
        for (answer, job) in stage.try_push(&jobs).await.into_iter().zip(&jobs) {
            let (pushed, id) = (answer.expect("answered"), job.envelope.id);
            assert!([Pushed::Stored(id), Pushed::AlreadyStored(id)].contains(&pushed), "{pushed:?}");
        }
        stage.finish_each(&*subscription, &jobs).await;
        if ended.is_some() {
            return;
        }
    }
}

/// A job that was taken by a reserve which was dropped comes back after its lease.
pub async fn reserve_dropped_anywhere_loses_no_job(stage: Stage) {
    let subscription = stage.subscribe().await;
    for polls in 0.. {
        let jobs = stage.push_plain(2).await;
        let request = Reserve::new(2).lease(stage.lease());
        // Where reserve answers from what `ready` has found, there must be something.
        subscription.ready(stage.lease()).await.expect("ready answers");
        let ended = dropped_after(polls, subscription.reserve(stage.queue(), request)).await;
        let taken = stage.hold(&*subscription, 2).await;
        assert_eq!(ids(&taken), job_ids(&jobs), "after {polls} polls");
        stage.finish(&taken).await;
        stage.assert_empty(&*subscription).await;
        if ended.is_some() {
            return;
        }
    }
}

/// A `Done` that is dropped anywhere has ended the job or not.
pub async fn done_dropped_anywhere_is_done_or_not_done(stage: Stage) {
    settle_dropped_anywhere(&stage, Outcome::Done, Left::Nothing).await;
}

/// A `Retry` that is dropped anywhere leaves the job once.
pub async fn retry_dropped_anywhere_is_done_or_not_done(stage: Stage) {
    settle_dropped_anywhere(&stage, retry_now(), Left::Job { attempt: 2 }).await;
}

/// A `Release` that is dropped anywhere leaves the job once.
pub async fn release_dropped_anywhere_is_done_or_not_done(stage: Stage) {
    settle_dropped_anywhere(&stage, release_now(), Left::Job { attempt: 1 }).await;
}

/// A `Bury` that is dropped anywhere leaves one dead letter.
pub async fn bury_dropped_anywhere_is_done_or_not_done(stage: Stage) {
    settle_dropped_anywhere(&stage, bury(), Left::DeadLetter).await;
}

/// An extension that is dropped anywhere leaves the delivery good.
pub async fn extension_dropped_anywhere_leaves_the_delivery_good(stage: Stage) {
    let subscription = stage.subscribe().await;
    for polls in 0.. {
        stage.push_plain(1).await;
        let delivery = stage.hold_one(&*subscription).await;
        let ended =
            dropped_after(polls, stage.driver().extend(stage.queue(), &[&delivery], LONG_LEASE)).await;
        stage.settle(&delivery, Outcome::Done).await;
        stage.assert_empty(&*subscription).await;
        if ended.is_some() {
            return;
        }
    }
}

/// A `clear` that is dropped anywhere keeps what is reserved, and can be repeated.
pub async fn clear_dropped_anywhere_is_done_or_not_done(stage: Stage) {
    let subscription = stage.subscribe().await;
    for polls in 0.. {
        stage.push_plain(1).await;
        let delivery = stage.hold_one(&*subscription).await;
        stage.push_plain(2).await;
        let ended = dropped_after(polls, stage.driver().clear(stage.queue())).await;
        stage.driver().clear(stage.queue()).await.expect("cleared");
        stage.settle(&delivery, Outcome::Done).await;
        stage.assert_empty(&*subscription).await;
        if ended.is_some() {
            return;
        }
    }
}

/// The retry of a dead letter that is dropped anywhere leaves the job once, dead or ready.
pub async fn dead_letter_retry_dropped_anywhere_is_done_or_not_done(stage: Stage) {
    let subscription = stage.subscribe().await;
    let Some(dead) = stage.driver().dead_letters() else {
        return assert_eq!(stage.capabilities().dead_letters, Listing::None);
    };
    for polls in 0.. {
        let jobs = stage.push_plain(2).await;
        let buried = stage.hold(&*subscription, 2).await;
        stage.try_settle_all(&buried, &bury()).await.into_iter().for_each(|it| it.expect("buried"));
        let ended = dropped_after(polls, dead.retry_all(stage.queue())).await;
        dead.retry_all(stage.queue()).await.expect("retried");
        let taken = stage.hold(&*subscription, 2).await;
        assert_eq!(ids(&taken), job_ids(&jobs), "after {polls} polls");
        stage.finish(&taken).await;
        stage.assert_empty(&*subscription).await;
        if ended.is_some() {
            return;
        }
    }
}

/// Subscribing and closing that are dropped anywhere hold no job back.
pub async fn subscribing_and_closing_dropped_anywhere_hold_nothing_back(stage: Stage) {
    let queues = [stage.queue().clone()];
    for polls in 0.. {
        stage.push_plain(1).await;
        let subscription = dropped_after(polls, stage.driver().subscribe(&queues)).await;
        let ended = match subscription {
            None => None,
            Some(subscription) => {
                let subscription = subscription.expect("subscribed");
                subscription.ready(stage.lease()).await.expect("ready answers");
                dropped_after(polls, subscription.close()).await
            }
        };
        let next = stage.subscribe().await;
        let delivery = stage.hold_one(&*next).await;
        stage.settle(&delivery, Outcome::Done).await;
        stage.assert_empty(&*next).await;
        next.close().await.expect("closed");
        if ended.is_some() {
            return;
        }
    }
}

/// What is left of a job that was settled at least once.
#[derive(Debug, Clone, Copy)]
enum Left {
    Nothing,
    Job { attempt: u32 },
    DeadLetter,
}

/// Drops a settlement after every number of polls, settles again as a caller would, and counts.
async fn settle_dropped_anywhere(stage: &Stage, outcome: Outcome, left: Left) {
    let subscription = stage.subscribe().await;
    for polls in 0.. {
        stage.push_plain(1).await;
        let delivery = stage.hold_one(&*subscription).await;
        let settlements = [Settlement::new(&delivery, &outcome)];
        let ended = dropped_after(polls, stage.driver().settle(stage.queue(), &settlements)).await;
        let again = stage.try_settle(&delivery, outcome.clone()).await;
        assert_ok_or_lease_lost(&again);
        match left {
            Left::Nothing => {}
            Left::Job { attempt } => {
                let copy = stage.hold_one(&*subscription).await;
                stage.assert_counts(&copy, attempt, 0);
                stage.settle(&copy, Outcome::Done).await;
            }
            Left::DeadLetter => remove_the_dead_letter(stage).await,
        }
        stage.assert_empty(&*subscription).await;
        if ended.is_some() {
            return;
        }
    }
}

async fn remove_the_dead_letter(stage: &Stage) {
    let count = stage.dead().await.len();
    match stage.capabilities().dead_letters {
        Listing::Exact => assert_eq!(count, 1, "dead letters"),
        _ => assert!(count <= 1, "{count} dead letters"),
    }
    if let Some(dead) = stage.driver().dead_letters() {
        dead.clear(stage.queue()).await.expect("cleared");
    }
}
