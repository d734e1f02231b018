//! Consumer: the loop of the core on this store, from the push to the last outcome.

use std::{future::pending, time::Duration};

use stream_core::{
    Backoff, Consumer, ConsumerBuilder, Context, Draft, Event, Handlers, JobError, JobId, JobResult, Outcome,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{sleep, timeout},
};

use crate::{Stage, stage::NOT_LATER};

/// A consumer works each job once and leaves nothing behind.
pub async fn consumer_works_each_job_once(stage: Stage) {
    const JOBS: usize = 30;
    let (tell, mut told) = unbounded_channel();
    let jobs = (0..JOBS).map(|number| draft(&stage, number)).collect::<Vec<_>>();
    let mut expected: Vec<_> = jobs.iter().map(Draft::id).collect();
    stage.manager().push_many(jobs).await.expect("stored");
    let run = async move |_: usize, _: Context| JobResult::Ok(());
    let consumer = consumer(&stage, handlers(run), &tell).workers(4).start().await.expect("started");

    let mut done = Vec::new();
    while done.len() < JOBS {
        let (id, outcome) = next(&mut told).await;
        assert_eq!(outcome, Outcome::Done);
        done.push(id);
    }

    consumer.shutdown().await.expect("stopped");
    stage.assert_empty(&*stage.subscribe().await).await;
    assert!(told.try_recv().is_err(), "a job was worked again");
    done.sort();
    expected.sort();
    assert_eq!(done, expected);
}

/// A job that fails is repeated after its backoff, and buried when its attempts are used up.
pub async fn consumer_repeats_a_failed_job_and_buries_it_at_the_end(stage: Stage) {
    let (tell, mut told) = unbounded_channel();
    let wait = Duration::from_millis(100).max(stage.capabilities().retry_delay.grain());
    let mut job = draft(&stage, 0).max_attempts(2).backoff(Backoff::fixed(wait).jitter(0.0));
    if stage.capabilities().retry_delay.max() < wait {
        job = job.backoff(Backoff::fixed(Duration::ZERO));
    }
    stage.manager().push(job).await.expect("stored");
    let run = async move |_: usize, _: Context| JobResult::Err(JobError::retry("disk full"));
    let consumer = consumer(&stage, handlers(run), &tell).start().await.expect("started");

    let outcomes = [next(&mut told).await.1, next(&mut told).await.1];

    consumer.shutdown().await.expect("stopped");
    assert!(matches!(&outcomes, [Outcome::Retry { .. }, Outcome::Bury { .. }]), "{outcomes:?}");
    stage.assert_none_waits(&*stage.subscribe().await).await;
    stage.assert_letters(1).await;
}

/// A consumer that is stopped gives back what it cannot end, and that counts nothing.
pub async fn consumer_that_is_stopped_gives_back_what_it_cannot_end(stage: Stage) {
    let (tell, _told) = unbounded_channel();
    let (begin, mut begun) = unbounded_channel();
    stage.manager().push(draft(&stage, 0)).await.expect("stored");
    let run = move |_: usize, cx: Context| {
        let _: Result<(), _> = begin.send(cx.id());
        pending::<JobResult>()
    };
    let consumer = consumer(&stage, handlers(run), &tell).grace(Duration::ZERO);
    let consumer = consumer.start().await.expect("started");
    let id = timeout(NOT_LATER, begun.recv()).await.expect("begun in time").expect("it lives");

    let stopped = consumer.shutdown().await.expect("stopped");

    assert_eq!((stopped.released, stopped.abandoned), (1, 0), "released and abandoned");
    let again = stage.elsewhere().await;
    let delivery = again.hold_one(&*again.subscribe().await).await;
    assert_eq!(delivery.id(), Some(id));
    again.assert_counts(&delivery, 1, 0);
    again.settle(&delivery, Outcome::Done).await;
}

/// A job that takes longer than its lease stays with the consumer that runs it.
pub async fn consumer_keeps_the_lease_of_a_long_job(stage: Stage) {
    let (tell, mut told) = unbounded_channel();
    let (begin, mut begun) = unbounded_channel();
    let long = stage.lease() * 3;
    stage.manager().push(draft(&stage, 0)).await.expect("stored");
    let run = move |_: usize, cx: Context| {
        let _: Result<(), _> = begin.send(cx.id());
        async move {
            sleep(long).await;
            JobResult::Ok(())
        }
    };
    let consumer = consumer(&stage, handlers(run), &tell).workers(1).lease(stage.lease());
    let consumer = consumer.start().await.expect("started");
    timeout(NOT_LATER, begun.recv()).await.expect("begun in time").expect("it lives");
    let other = stage.elsewhere().await;
    let elsewhere = other.subscribe().await;

    other.assert_nothing_comes(&*elsewhere, stage.lease() * 2).await;

    assert_eq!(next(&mut told).await.1, Outcome::Done);
    consumer.shutdown().await.expect("stopped");
    assert!(begun.try_recv().is_err(), "it was run twice");
    stage.assert_empty(&*elsewhere).await;
}

fn draft(stage: &Stage, number: usize) -> Draft {
    Draft::named("case", &number).on_queue(stage.queue())
}

fn handlers<F>(run: impl Fn(usize, Context) -> F + Send + Sync + 'static) -> Handlers
where
    F: Future<Output = JobResult> + Send + 'static,
{
    Handlers::new().register_named::<usize>("case", run)
}

/// Tells of each outcome that the store has taken.
fn consumer(stage: &Stage, handlers: Handlers, tell: &UnboundedSender<(JobId, Outcome)>) -> ConsumerBuilder {
    let tell = tell.clone();
    Consumer::builder(&stage.manager(), handlers).queues([stage.queue()]).on_event(move |event| {
        if let Event::Settled { cx, outcome, .. } = event {
            // Nobody may listen any more.
            let _: Result<(), _> = tell.send((cx.id(), (*outcome).clone()));
        }
    })
}

async fn next(told: &mut UnboundedReceiver<(JobId, Outcome)>) -> (JobId, Outcome) {
    timeout(NOT_LATER, told.recv()).await.expect("an outcome in time").expect("the consumer lives")
}
