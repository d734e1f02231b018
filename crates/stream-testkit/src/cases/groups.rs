//! Groups: at most one job of a group is in flight.

use std::{slice, time::Duration};

use stream_core::{Draft, Error, ErrorKind, NewJob, Outcome, Reserve, Subscription};
use tokio::time::Instant;

use crate::{
    Stage,
    stage::{LONG_LEASE, bury, ids, job_ids, plain_job, release_after, release_now, retry_after, retry_now},
};

/// A short while in which a job would come if it were allowed to.
const A_WHILE: Duration = Duration::from_millis(300);

/// Where groups are not promised a job that asks for one is refused, and nothing is sent.
pub async fn group_is_refused_where_it_is_not_promised(stage: Stage) {
    let draft = Draft::raw("case", vec![1]).on_queue(stage.queue()).group("group");
    let answer = stage.manager().push(draft).await;
    if is_promised(&stage) {
        answer.expect("stored");
        stage.hold_one(&*stage.subscribe().await).await;
    } else {
        assert!(matches!(answer.as_ref().map_err(Error::kind), Err(ErrorKind::Unsupported { .. })));
        stage.assert_empty(&*stage.subscribe().await).await;
    }
}

/// At most one job of a group is in flight, whoever takes.
pub async fn only_one_job_of_a_group_is_in_flight(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let other = stage.elsewhere().await;
    push_group(&stage, 3).await;
    stage.hold_one(&*stage.subscribe().await).await;
    stage.assert_nothing_comes(&*stage.subscribe().await, A_WHILE).await;
    other.assert_nothing_comes(&*other.subscribe().await, A_WHILE).await;
}

/// One call that takes many takes one of a group.
pub async fn batch_takes_one_job_of_each_group(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let jobs = [grouped("a"), grouped("a"), grouped("b"), grouped("b")];
    stage.push(&jobs).await;
    let subscription = stage.subscribe().await;
    let taken = stage.whatever_comes(&*subscription, A_WHILE).await;
    let mut groups: Vec<_> =
        taken.iter().map(|it| it.envelope.as_ref().expect("an envelope").group.as_deref()).collect();
    groups.sort();
    assert_eq!(groups, [Some("a"), Some("b")]);
}

/// A group that is in flight holds back no other group, and no job without one.
pub async fn group_holds_back_no_other_job(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    push_group(&stage, 2).await;
    stage.hold_one(&*subscription).await;
    let jobs = [grouped("other"), plain_job(), plain_job()];
    stage.push(&jobs).await;
    assert_eq!(ids(&stage.hold(&*subscription, 3).await), job_ids(&jobs));
}

/// `Done` lets the next job of the group go.
pub async fn done_lets_the_next_of_a_group_go(stage: Stage) {
    lets_the_next_go(&stage, Outcome::Done).await;
}

/// `Bury` lets the next job of the group go.
pub async fn bury_lets_the_next_of_a_group_go(stage: Stage) {
    lets_the_next_go(&stage, bury()).await;
}

/// `clear` lets the next job of a group go that waited behind one it removed.
pub async fn clear_lets_the_next_of_a_group_go(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    push_group(&stage, 1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, retry_after(LONG_LEASE)).await;
    stage.driver().clear(stage.queue()).await.expect("cleared");
    if stage.capabilities().clear_delayed.is_yes() {
        let jobs = [plain_job(), grouped("group")];
        stage.push(&jobs).await;
        assert_eq!(ids(&stage.hold(&*subscription, 2).await), job_ids(&jobs));
    }
}

/// A job that waits for its retry blocks its group: the next one may not overtake it.
pub async fn retrying_job_blocks_its_group(stage: Stage) {
    blocks_its_group(&stage, retry_after(A_WHILE)).await;
}

/// A job that was released for a while blocks its group.
pub async fn released_job_blocks_its_group(stage: Stage) {
    blocks_its_group(&stage, release_after(A_WHILE)).await;
}

/// A job that is ready again at once goes before the others of its group.
pub async fn job_retried_at_once_goes_before_its_group(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    push_group(&stage, 3).await;
    let first = stage.hold_one(&*subscription).await;
    for outcome in [retry_now(), release_now()] {
        let again = if outcome == retry_now() { first.clone() } else { stage.hold_one(&*subscription).await };
        assert_eq!(again.id(), first.id(), "another job of the group overtook it");
        stage.settle(&again, outcome).await;
    }
    assert_eq!(stage.hold_one(&*subscription).await.id(), first.id());
}

/// When a lease ends, its job is taken again and is the only one of its group in flight.
pub async fn ended_lease_lets_one_job_of_its_group_go(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    push_group(&stage, 2).await;
    let lost = stage.take_one(&*subscription).await;
    assert_eq!(stage.hold_one(&*subscription).await.id(), lost.id(), "another job of the group overtook it");
    stage.assert_nothing_comes(&*subscription, stage.lease() * 2).await;
}

/// A dead letter that is retried waits until its group is free.
pub async fn retried_dead_letter_waits_for_its_group(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    push_group(&stage, 2).await;
    let buried = stage.hold_one(&*subscription).await;
    stage.settle(&buried, bury()).await;
    let running = stage.hold_one(&*subscription).await;
    let Some(dead) = stage.driver().dead_letters() else { return };
    assert_eq!(dead.retry_all(stage.queue()).await.expect("retried"), 1);
    stage.assert_nothing_comes(&*subscription, A_WHILE).await;
    stage.settle(&running, Outcome::Done).await;
    assert_eq!(stage.hold_one(&*subscription).await.id(), buried.id());
}

/// A group is one of its queue: the same key elsewhere is another group.
pub async fn groups_of_two_queues_are_apart(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let other = stage.another_queue();
    push_group(&stage, 1).await;
    push_group(&other, 1).await;
    stage.hold_one(&*stage.subscribe().await).await;
    other.hold_one(&*other.subscribe().await).await;
}

/// Jobs of one group race through many takers one at a time, and all arrive.
pub async fn jobs_of_a_group_are_worked_one_at_a_time(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let jobs = push_group(&stage, 10).await;
    let other = stage.elsewhere().await;
    let (mine, theirs) = (stage.subscribe().await, other.subscribe().await);
    let mut taken = Vec::new();
    while taken.len() < jobs.len() {
        let (some, others) = tokio::join!(take(&stage, &*mine), take(&other, &*theirs));
        let both = [some, others].concat();
        assert!(both.len() <= 1, "{} jobs of the group are in flight", both.len());
        stage.finish(&both).await;
        taken.extend(both);
    }
    assert_eq!(ids(&taken), job_ids(&jobs));
}

/// Whether groups are promised; if not, that they are refused is asserted.
fn is_promised(stage: &Stage) -> bool {
    let is_promised = stage.capabilities().groups.is_yes();
    if !is_promised {
        stage.assert_unsupported(&grouped("group"));
    }
    is_promised
}

fn grouped(group: &str) -> NewJob {
    let mut job = plain_job();
    job.envelope.group = Some(group.into());
    job
}

/// Pushes jobs of one group, one after another.
async fn push_group(stage: &Stage, count: usize) -> Vec<NewJob> {
    let jobs: Vec<_> = (0..count).map(|_| grouped("group")).collect();
    for job in &jobs {
        stage.push(slice::from_ref(job)).await;
    }
    jobs
}

/// What can be taken now.
async fn take(stage: &Stage, subscription: &dyn Subscription) -> Vec<stream_core::Delivery> {
    subscription.ready(Duration::from_millis(50)).await.expect("ready answers");
    let request = Reserve::new(10).lease(LONG_LEASE);
    subscription.reserve(stage.queue(), request).await.expect("reserved")
}

async fn lets_the_next_go(stage: &Stage, outcome: Outcome) {
    if !is_promised(stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    let jobs = push_group(stage, 2).await;
    let first = stage.hold_one(&*subscription).await;
    stage.settle(&first, outcome).await;
    let second = stage.hold_one(&*subscription).await;
    assert_eq!(ids(&[first, second]), job_ids(&jobs));
}

/// Ends the first delivery of a group with a wait: nothing of the group comes before it.
async fn blocks_its_group(stage: &Stage, outcome: Outcome) {
    if !is_promised(stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    push_group(stage, 2).await;
    let first = stage.hold_one(&*subscription).await;
    let settled = Instant::now();
    stage.settle(&first, outcome).await;
    let next = stage.hold_one(&*subscription).await;
    assert_eq!(next.id(), first.id(), "another job of the group overtook it");
    assert!(settled.elapsed() >= A_WHILE, "it came after {:?}", settled.elapsed());
}
