//! Priority and order: the most urgent first, and in their order where that is promised.

use std::{slice, time::Duration};

use stream_core::{Delivery, JobId, NewJob, Order, Outcome, Precision, Priorities, Priority, Subscription};
use tokio::time::Instant;

use crate::{
    Stage,
    stage::{NOT_LATER, bury, ids, job_ids, plain_job, plain_jobs, release_now, retry_now},
};

/// Whatever is ready and more urgent is taken first.
pub async fn more_urgent_job_is_taken_first(stage: Stage) {
    let subscription = stage.subscribe().await;
    let mut jobs = Priority::ALL.map(urgent);
    jobs.reverse();
    for job in &jobs {
        stage.push(slice::from_ref(job)).await;
    }
    let mut taken = Vec::new();
    for _ in &jobs {
        taken.push(stage.hold_one(&*subscription).await);
    }
    assert_eq!(ids(&taken), job_ids(&jobs));
    if is_strict(&stage) {
        assert_eq!(priorities(&taken), Priority::ALL);
    }
}

/// One call that takes many takes the most urgent, and answers them first.
pub async fn batch_takes_the_most_urgent_jobs(stage: Stage) {
    let subscription = stage.subscribe().await;
    let mut jobs = Priority::ALL.map(urgent);
    jobs.reverse();
    stage.push(&jobs).await;
    let first = stage.hold(&*subscription, 2).await;
    let second = stage.hold(&*subscription, 2).await;
    let taken = [first, second].concat();
    assert_eq!(ids(&taken), job_ids(&jobs));
    if is_strict(&stage) {
        assert_eq!(priorities(&taken), Priority::ALL);
    }
}

/// A job that comes later and is more urgent goes before all that wait.
pub async fn urgent_job_overtakes_those_that_wait(stage: Stage) {
    let subscription = stage.subscribe().await;
    let waiting = stage.push_plain(5).await;
    let urgent = urgent(Priority::High);
    stage.push(slice::from_ref(&urgent)).await;
    let first = stage.hold_one(&*subscription).await;
    let rest = stage.hold(&*subscription, 5).await;
    if is_strict(&stage) {
        assert_eq!(first.id(), Some(urgent.envelope.id));
    }
    let all = [waiting, vec![urgent]].concat();
    assert_eq!(ids(&[rest, vec![first]].concat()), job_ids(&all));
}

/// A job that is retried goes by its priority again.
pub async fn retried_job_keeps_its_priority(stage: Stage) {
    keeps_its_priority(&stage, retry_now()).await;
}

/// A job that is released goes by its priority again.
pub async fn released_job_keeps_its_priority(stage: Stage) {
    keeps_its_priority(&stage, release_now()).await;
}

/// A dead letter that is retried goes by its priority again.
pub async fn retried_dead_letter_keeps_its_priority(stage: Stage) {
    keeps_its_priority(&stage, bury()).await;
}

/// A job whose lease ended goes by its priority again, beside the waiting ones.
pub async fn lost_job_keeps_its_priority(stage: Stage) {
    let subscription = stage.subscribe().await;
    let urgent = urgent(Priority::Critical);
    stage.push(slice::from_ref(&urgent)).await;
    stage.take_one(&*subscription).await;
    goes_first(&stage, &*subscription, urgent.envelope.id).await;
}

/// A job whose delay ended goes by its priority, not to the end of those that wait.
pub async fn due_job_is_taken_by_its_priority(stage: Stage) {
    let subscription = stage.subscribe().await;
    let mut urgent = urgent(Priority::Critical);
    urgent.delay = Duration::from_millis(200).max(stage.capabilities().push_delay.grain());
    if stage.capabilities().push_delay.max() < urgent.delay {
        return stage.assert_unsupported(&urgent);
    }
    stage.push(slice::from_ref(&urgent)).await;
    goes_first(&stage, &*subscription, urgent.envelope.id).await;
}

/// One producer's sequential pushes start in their order, where that is promised.
pub async fn sequential_pushes_start_in_their_order(stage: Stage) {
    let jobs = plain_jobs(20);
    for job in &jobs {
        stage.push(slice::from_ref(job)).await;
    }
    start_in_order(&stage, &jobs).await;
}

/// The jobs of one push start in their order, where that is promised.
pub async fn jobs_of_one_push_start_in_their_order(stage: Stage) {
    let jobs = stage.push_plain(20).await;
    start_in_order(&stage, &jobs).await;
}

/// Where an order is promised it holds within each priority.
pub async fn order_holds_within_each_priority(stage: Stage) {
    let (mut high, mut low) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        low.push(urgent(Priority::Low));
        high.push(urgent(Priority::High));
        stage.push(&[low[low.len() - 1].clone(), high[high.len() - 1].clone()]).await;
    }
    let subscription = stage.subscribe().await;
    let taken = stage.hold(&*subscription, 10).await;
    assert_eq!(ids(&taken), job_ids(&[high.clone(), low.clone()].concat()));
    if stage.capabilities().order == Order::Fifo {
        for jobs in [high, low] {
            let priority = jobs[0].envelope.priority;
            let mut of_one = taken.clone();
            of_one.retain(|delivery| priority_of(delivery) == priority);
            assert_eq!(in_order(&of_one), jobs.iter().map(|job| job.envelope.id).collect::<Vec<_>>());
        }
    }
}

fn urgent(priority: Priority) -> NewJob {
    let mut job = plain_job();
    job.envelope.priority = priority;
    job
}

fn is_strict(stage: &Stage) -> bool {
    stage.capabilities().priorities == Priorities::Strict
}

fn priority_of(delivery: &Delivery) -> Priority {
    delivery.envelope.as_ref().expect("an envelope").priority
}

fn priorities(deliveries: &[Delivery]) -> Vec<Priority> {
    deliveries.iter().map(priority_of).collect()
}

fn in_order(deliveries: &[Delivery]) -> Vec<JobId> {
    deliveries.iter().map(|delivery| delivery.id().expect("an id")).collect()
}

/// Ends a delivery of an urgent job with `outcome`; it goes before a job that waited all the time.
async fn keeps_its_priority(stage: &Stage, outcome: Outcome) {
    let subscription = stage.subscribe().await;
    stage.push(&[urgent(Priority::Critical)]).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.push_plain(1).await;
    let is_burial = matches!(outcome, Outcome::Bury { .. });
    stage.settle(&delivery, outcome).await;
    if is_burial {
        let Some(dead) = stage.driver().dead_letters() else { return };
        assert_eq!(dead.retry_all(stage.queue()).await.expect("retried"), 1);
    }
    let taken = [stage.hold_one(&*subscription).await, stage.hold_one(&*subscription).await];
    assert!(priorities(&taken).contains(&Priority::Critical), "the priority was not kept");
    if is_strict(stage) {
        assert_eq!(taken[0].id(), delivery.id());
    }
}

/// Once the job of this id is ready again it goes before one that was pushed meanwhile.
async fn goes_first(stage: &Stage, subscription: &dyn Subscription, id: JobId) {
    // Only an exact depth tells when it is ready without taking it.
    if stage.capabilities().depth == Precision::Exact {
        let deadline = Instant::now() + NOT_LATER;
        while stage.depth().await.ready == 0 {
            subscription.ready(NOT_LATER).await.expect("ready answers");
            assert!(Instant::now() < deadline, "it did not become ready");
        }
    }
    stage.push_plain(1).await;
    let taken = [stage.hold_one(subscription).await, stage.hold_one(subscription).await];
    assert!(in_order(&taken).contains(&id), "it did not come");
    if is_strict(stage) && stage.capabilities().depth == Precision::Exact {
        assert_eq!(taken[0].id(), Some(id));
    }
}

/// Takes the jobs one by one: in their order where it is promised, and in any case all.
async fn start_in_order(stage: &Stage, jobs: &[NewJob]) {
    let subscription = stage.subscribe().await;
    let mut taken = Vec::new();
    for _ in jobs {
        let delivery = stage.hold_one(&*subscription).await;
        stage.settle(&delivery, Outcome::Done).await;
        taken.push(delivery);
    }
    assert_eq!(ids(&taken), job_ids(jobs));
    if stage.capabilities().order == Order::Fifo {
        assert_eq!(in_order(&taken), jobs.iter().map(|job| job.envelope.id).collect::<Vec<_>>());
    }
}
