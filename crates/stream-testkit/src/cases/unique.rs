//! Unique keys: held by a waiting or reserved job, freed by its end.

use std::{slice, time::Duration};

use stream_core::{Draft, Error, ErrorKind, JobId, NewJob, Outcome, Pushed, Subscription};

use crate::{
    Stage,
    stage::{bury, ids, plain_job, release_after, release_now, retry_after, retry_now},
};

/// Where unique keys are not promised a job that has one is refused, and nothing is sent.
pub async fn unique_key_is_refused_where_it_is_not_promised(stage: Stage) {
    let draft = Draft::raw("case", vec![1]).on_queue(stage.queue()).unique("key");
    let answer = stage.manager().push(draft).await;
    if is_promised(&stage) {
        answer.expect("stored");
        stage.hold_one(&*stage.subscribe().await).await;
    } else {
        assert!(matches!(answer.as_ref().map_err(Error::kind), Err(ErrorKind::Unsupported { .. })));
        stage.assert_empty(&*stage.subscribe().await).await;
    }
}

/// A second job of a key is not stored and answered with the id of the first.
pub async fn second_push_of_a_unique_key_is_a_duplicate(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let first = push_unique(&stage).await;
    assert_duplicate(&stage, first).await;
    takes_only(&stage, &[first]).await;
}

/// A delayed job holds its key.
pub async fn delayed_job_holds_its_unique_key(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let mut job = unique();
    job.delay = Duration::from_secs(60).min(stage.capabilities().push_delay.max());
    stage.push(slice::from_ref(&job)).await;
    assert_duplicate(&stage, job.envelope.id).await;
}

/// A reserved job holds its key.
pub async fn reserved_job_holds_its_unique_key(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let first = push_unique(&stage).await;
    stage.hold_one(&*stage.subscribe().await).await;
    assert_duplicate(&stage, first).await;
}

/// A job that is retried or released keeps its key.
pub async fn retry_and_release_keep_the_unique_key(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let first = push_unique(&stage).await;
    let subscription = stage.subscribe().await;
    let wait = Duration::from_secs(60).min(stage.capabilities().retry_delay.max());
    for outcome in [retry_now(), release_now(), retry_after(wait)] {
        let delivery = stage.hold_one(&*subscription).await;
        stage.settle(&delivery, outcome).await;
        assert_duplicate(&stage, first).await;
    }
}

/// A job that was released for a while keeps its key.
pub async fn job_released_for_a_while_keeps_its_unique_key(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let first = push_unique(&stage).await;
    let delivery = stage.hold_one(&*stage.subscribe().await).await;
    let wait = Duration::from_secs(60).min(stage.capabilities().retry_delay.max());
    stage.settle(&delivery, release_after(wait)).await;
    assert_duplicate(&stage, first).await;
}

/// A job whose lease ended keeps its key.
pub async fn lost_job_keeps_its_unique_key(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let first = push_unique(&stage).await;
    let subscription = stage.subscribe().await;
    stage.take_one(&*subscription).await;
    stage.hold_one(&*subscription).await;
    assert_duplicate(&stage, first).await;
}

/// `Done` and `Bury` free the unique key.
pub async fn done_and_bury_free_the_unique_key(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    for outcome in [Outcome::Done, bury(), Outcome::Done] {
        let job = push_unique(&stage).await;
        let delivery = stage.hold_one(&*subscription).await;
        assert_eq!(delivery.id(), Some(job));
        stage.settle(&delivery, outcome).await;
    }
}

/// `clear` frees the keys of what it removed, and not those of reserved jobs.
pub async fn clear_frees_the_unique_keys_of_what_it_removed(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let held = push_unique(&stage).await;
    stage.hold_one(&*stage.subscribe().await).await;
    let mut other = unique();
    other.envelope.unique_key = Some("other".into());
    stage.push(slice::from_ref(&other)).await;
    stage.driver().clear(stage.queue()).await.expect("cleared");
    assert_duplicate(&stage, held).await;
    other.envelope.id = JobId::new();
    stage.push(&[other]).await;
}

/// A duplicate in a batch fails only itself, be the first in the queue or in the batch.
pub async fn duplicate_in_a_batch_fails_only_itself(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let first = push_unique(&stage).await;
    let (mut twin, mut second_twin) = (unique(), unique());
    twin.envelope.unique_key = Some("twin".into());
    second_twin.envelope.unique_key = Some("twin".into());
    let jobs = [plain_job(), unique(), twin, second_twin, plain_job()];
    let [before, _, twin, _, after] = jobs.each_ref().map(|job| job.envelope.id);
    let answers: Vec<_> = stage.try_push(&jobs).await.into_iter().map(|it| it.expect("answered")).collect();
    let stored = Pushed::Stored;
    let duplicate = Pushed::Duplicate;
    assert_eq!(answers, [stored(before), duplicate(first), stored(twin), duplicate(twin), stored(after)]);
    takes_only(&stage, &[first, before, twin, after]).await;
}

/// A repeated push of the job that holds the key is that job, no duplicate of itself.
pub async fn repeated_push_of_the_key_holder_is_already_stored(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let job = unique();
    stage.push(slice::from_ref(&job)).await;
    let answer = stage.try_push(slice::from_ref(&job)).await.remove(0).expect("answered");
    if stage.capabilities().repeated_push.is_yes() {
        assert_eq!(answer, Pushed::AlreadyStored(job.envelope.id));
    } else {
        assert_eq!(answer.id(), job.envelope.id);
    }
}

/// The same key in another queue is another key.
pub async fn unique_keys_of_two_queues_are_apart(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    push_unique(&stage).await;
    push_unique(&stage.another_queue()).await;
}

/// A dead letter whose key is held by a waiting job stays where it is.
pub async fn dead_letter_whose_key_is_taken_stays(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    bury_unique(&stage, &*subscription).await;
    let holder = push_unique(&stage).await;
    let Some(dead) = stage.driver().dead_letters() else { return };
    let letter = stage.only_letter().await.id;
    assert!(!dead.retry(stage.queue(), &letter).await.expect("answered"), "it was retried");
    stage.only_letter().await;
    assert_eq!(ids(&[stage.hold_one(&*subscription).await]), [holder]);
    stage.assert_nothing_comes(&*subscription, Duration::from_millis(200)).await;
}

/// `retry_all` leaves out the letters whose key is held, and takes the others.
pub async fn retry_all_leaves_letters_whose_key_is_taken(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    let buried = bury_unique(&stage, &*subscription).await;
    stage.push_plain(1).await;
    let plain = stage.hold_one(&*subscription).await;
    stage.settle(&plain, bury()).await;
    push_unique(&stage).await;
    let Some(dead) = stage.driver().dead_letters() else { return };
    assert_eq!(dead.retry_all(stage.queue()).await.expect("retried"), 1);
    let left = stage.letters(1).await;
    let left: Vec<_> = left.iter().map(|it| it.envelope.as_ref().expect("an envelope").id).collect();
    assert_eq!(left, [buried]);
}

/// Of several letters of one key `retry_all` makes one ready, which holds the key again.
pub async fn retried_letter_holds_its_unique_key_again(stage: Stage) {
    if !is_promised(&stage) {
        return;
    }
    let subscription = stage.subscribe().await;
    bury_unique(&stage, &*subscription).await;
    bury_unique(&stage, &*subscription).await;
    let Some(dead) = stage.driver().dead_letters() else { return };
    assert_eq!(dead.retry_all(stage.queue()).await.expect("retried"), 1);
    let delivery = stage.hold_one(&*subscription).await;
    assert_duplicate(&stage, delivery.id().expect("an id")).await;
}

/// Whether unique keys are promised; if not, that they are refused is asserted.
fn is_promised(stage: &Stage) -> bool {
    let is_promised = stage.capabilities().unique.is_yes();
    if !is_promised {
        stage.assert_unsupported(&unique());
    }
    is_promised
}

fn unique() -> NewJob {
    let mut job = plain_job();
    job.envelope.unique_key = Some("key".into());
    job
}

/// Pushes a job of the key, which must be free; its id.
async fn push_unique(stage: &Stage) -> JobId {
    let job = unique();
    stage.push(slice::from_ref(&job)).await;
    job.envelope.id
}

/// Pushes a job of the key and buries it; its id.
async fn bury_unique(stage: &Stage, subscription: &dyn Subscription) -> JobId {
    let id = push_unique(stage).await;
    let delivery = stage.hold_one(subscription).await;
    assert_eq!(delivery.id(), Some(id));
    stage.settle(&delivery, bury()).await;
    id
}

/// Asserts that the key is held by this job.
async fn assert_duplicate(stage: &Stage, holder: JobId) {
    let answer = stage.try_push(&[unique()]).await.remove(0).expect("answered");
    assert_eq!(answer, Pushed::Duplicate(holder));
}

/// Takes these jobs, ends them, and finds no other.
async fn takes_only(stage: &Stage, expected: &[JobId]) {
    let subscription = stage.subscribe().await;
    let taken = stage.hold(&*subscription, expected.len()).await;
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(ids(&taken), expected);
    stage.finish(&taken).await;
    stage.assert_empty(&*subscription).await;
}
