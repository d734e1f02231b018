//! Push: each job answered, none stored twice.

use std::{slice, time::Duration};

use stream_core::{Codec, Draft, Envelope, Error, ErrorKind, NewJob, Outcome, Pushed, QueueManager};

use crate::{
    Stage,
    stage::{bury, ids, job_ids, plain_job, plain_jobs, retry_now},
};

/// Answer *i* belongs to job *i*.
pub async fn push_answers_each_job_in_order(stage: Stage) {
    let jobs = plain_jobs(5);
    let answers = stage.try_push(&jobs).await;
    let ids: Vec<_> = answers.into_iter().map(|answer| answer.expect("stored")).collect();
    let expected: Vec<_> = jobs.iter().map(|job| Pushed::Stored(job.envelope.id)).collect();
    assert_eq!(ids, expected);
}

/// An empty batch is answered empty.
pub async fn empty_push_is_answered_empty(stage: Stage) {
    assert!(stage.try_push(&[]).await.is_empty());
    stage.assert_empty(&*stage.subscribe().await).await;
}

/// Every operation takes many; the driver splits by its store's limits itself.
pub async fn push_beyond_the_stores_batch_is_split_and_answered(stage: Stage) {
    let jobs = stage.push_plain(250).await;
    let taken = stage.hold(&*stage.subscribe().await, jobs.len()).await;
    assert_eq!(ids(&taken), job_ids(&jobs));
}

/// What one connection stored, another takes.
pub async fn job_pushed_on_one_connection_is_taken_on_another(stage: Stage) {
    let other = stage.elsewhere().await;
    let jobs = stage.push_plain(3).await;
    let taken = other.hold(&*other.subscribe().await, 3).await;
    assert_eq!(ids(&taken), job_ids(&jobs));
}

/// A stored job is delivered, once it is settled never again.
pub async fn pushed_job_is_delivered_once(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, Outcome::Done).await;
    stage.assert_empty(&*subscription).await;
}

/// One refused item never fails its neighbours.
pub async fn one_refused_job_never_fails_its_neighbours(stage: Stage) {
    let queue = QueueManager::new(stage.driver().clone());
    // An empty name is refused on every store.
    let jobs = [Draft::raw("good", vec![1]), Draft::raw("", vec![2]), Draft::raw("good", vec![3])];
    let jobs = jobs.map(|job| job.on_queue(stage.queue()));
    let good = [jobs[0].id(), jobs[2].id()];
    let error = queue.push_many(jobs).await.expect_err("one job is refused");
    let kinds: Vec<_> = error.results().iter().map(|it| it.as_ref().map_err(Error::kind)).collect();
    assert_eq!(
        kinds,
        [Ok(&Pushed::Stored(good[0])), Err(&ErrorKind::InvalidJob), Ok(&Pushed::Stored(good[1]))]
    );
    assert_eq!(ids(&stage.hold(&*stage.subscribe().await, 2).await), good);
}

/// A job whose id waits in the queue is not stored again, and its neighbours are.
pub async fn repeated_push_of_an_id_is_answered_already_stored(stage: Stage) {
    let [first, before, after] = [plain_job(), plain_job(), plain_job()];
    stage.push(slice::from_ref(&first)).await;
    let jobs = [before, first, after];
    let answers = answers(&stage, &jobs).await;
    let stored = |job: &NewJob| Pushed::Stored(job.envelope.id);
    assert_eq!(answers, [stored(&jobs[0]), stage.answer_to_repeated(&jobs[1]), stored(&jobs[2])]);
    stage.finish_each(&*stage.subscribe().await, &jobs).await;
}

/// The second of two jobs with one id in a batch is not stored.
pub async fn id_repeated_within_a_batch_is_stored_once(stage: Stage) {
    let job = plain_job();
    let answers = answers(&stage, &[job.clone(), job.clone()]).await;
    assert_eq!(answers, [Pushed::Stored(job.envelope.id), stage.answer_to_repeated(&job)]);
    stage.finish_each(&*stage.subscribe().await, &[job]).await;
}

/// A repeated push leaves the job that is there as it is.
pub async fn repeated_push_changes_nothing_of_the_stored_job(stage: Stage) {
    let first = plain_job();
    stage.push(slice::from_ref(&first)).await;
    let mut second = NewJob::new(Envelope::new("other", Codec::Raw, b"other".to_vec()));
    second.envelope.id = first.envelope.id;
    assert_eq!(answers(&stage, slice::from_ref(&second)).await, [stage.answer_to_repeated(&second)]);
    let taken = stage.hold_one(&*stage.subscribe().await).await.envelope;
    // Where it is not recognised it is a job beside the first, and either may come.
    let is_second = !stage.capabilities().repeated_push.is_yes() && taken == Ok(second.envelope);
    assert!(is_second || taken == Ok(first.envelope), "the job was changed");
}

/// A delayed job waits in the queue like any other.
pub async fn id_held_by_a_delayed_job_is_already_stored(stage: Stage) {
    let mut job = plain_job();
    job.delay = Duration::from_secs(60);
    if stage.capabilities().push_delay.max() < job.delay {
        let refused = stage.capabilities().allows(&job).expect_err("the delay is refused");
        assert!(matches!(refused.kind(), ErrorKind::Unsupported { .. }), "{refused}");
        return;
    }
    stage.push(slice::from_ref(&job)).await;
    job.delay = Duration::ZERO;
    assert_eq!(answers(&stage, slice::from_ref(&job)).await, [stage.answer_to_repeated(&job)]);
}

/// A reserved job holds its id.
pub async fn id_held_by_a_reserved_job_is_already_stored(stage: Stage) {
    let subscription = stage.subscribe().await;
    let jobs = stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    assert_eq!(answers(&stage, &jobs).await, [stage.answer_to_repeated(&jobs[0])]);
    stage.settle(&delivery, Outcome::Done).await;
    if stage.capabilities().repeated_push.is_yes() {
        stage.assert_empty(&*subscription).await;
    }
}

/// A dead job holds its id.
pub async fn id_held_by_a_dead_job_is_already_stored(stage: Stage) {
    let subscription = stage.subscribe().await;
    let jobs = stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, bury()).await;
    assert_eq!(answers(&stage, &jobs).await, [stage.answer_to_repeated(&jobs[0])]);
    if stage.capabilities().repeated_push.is_yes() {
        stage.assert_none_waits(&*subscription).await;
    }
}

/// A finished id is forgotten: the same job can be pushed again.
pub async fn id_of_a_done_job_is_stored_again(stage: Stage) {
    let subscription = stage.subscribe().await;
    let jobs = stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, Outcome::Done).await;
    assert_eq!(answers(&stage, &jobs).await, [Pushed::Stored(jobs[0].envelope.id)]);
    if stage.capabilities().repeated_push.is_yes() {
        stage.finish_each(&*subscription, &jobs).await;
    }
}

/// A job is the pair of queue and id: ids repeat across queues without harm.
pub async fn ids_repeat_across_queues_without_harm(stage: Stage) {
    let other = stage.another_queue();
    let jobs = stage.push_plain(1).await;
    other.push(&jobs).await;
    let (here, there) = (stage.subscribe().await, other.subscribe().await);
    let (mine, theirs) = (stage.hold_one(&*here).await, other.hold_one(&*there).await);
    stage.settle(&mine, Outcome::Done).await;
    other.settle(&theirs, retry_now()).await;
    assert_eq!(ids(&[other.hold_one(&*there).await]), job_ids(&jobs));
    stage.assert_empty(&*here).await;
}

/// The answers to a push of which each job is answered.
async fn answers(stage: &Stage, jobs: &[NewJob]) -> Vec<Pushed> {
    stage.try_push(jobs).await.into_iter().map(|answer| answer.expect("answered")).collect()
}
