//! Dead letters: listed, retried, removed; each by its own name, in its own queue.

use std::slice;

use stream_core::{
    DeadLetterId, DeadLetterStore, Delivery, ErrorKind, Fence, Listing, Outcome, Subscription,
};

use crate::{
    Stage,
    stage::{assert_lease_lost, assert_ok_or_lease_lost, bury, ids, job_ids, plain_job, retry_now},
};

/// A buried job is listed with its error, for all connections, and never delivered.
pub async fn buried_job_is_listed_with_its_error_and_not_delivered(stage: Stage) {
    let subscription = stage.subscribe().await;
    let job = plain_job();
    stage.push(slice::from_ref(&job)).await;
    bury_all(&stage, &*subscription, &["disk full"]).await;
    stage.assert_none_waits(&*subscription).await;
    let other = stage.elsewhere().await;
    let Some(_store) = store(&other) else { return };
    let letter = other.only_letter().await;
    assert_eq!((letter.envelope, letter.error.as_str()), (Ok(job.envelope), "disk full"));
}

/// A letter says in which attempt it was buried, and how often it was lost before.
pub async fn dead_letter_keeps_attempt_and_lost(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let last = failed_and_lost(&stage, &*subscription).await;
    stage.settle(&last, bury()).await;
    let Some(_store) = store(&stage) else { return };
    let letter = stage.only_letter().await;
    assert_eq!((letter.attempt, letter.lost), (last.attempt, last.lost));
}

/// A letter made ready again has all its attempts before it: attempt 1, lost 0.
pub async fn dead_letter_retry_resets_counts(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let last = failed_and_lost(&stage, &*subscription).await;
    stage.settle(&last, bury()).await;
    let Some(_store) = store(&stage) else { return };
    retry(&stage, &stage.only_letter().await.id).await;
    let again = stage.hold_one(&*subscription).await;
    assert_eq!((again.id(), again.attempt, again.lost), (last.id(), 1, 0));
}

/// A letter made ready again brings the error that it was buried with, where the store keeps it.
pub async fn retried_dead_letter_brings_its_last_error(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    bury_all(&stage, &*subscription, &["disk full"]).await;
    let Some(_store) = store(&stage) else { return };
    retry(&stage, &stage.only_letter().await.id).await;
    let again = stage.hold_one(&*subscription).await;
    let is_kept = stage.capabilities().last_error.is_yes();
    assert_eq!(again.last_error.as_deref(), is_kept.then_some("disk full"));
}

/// A letter that was retried is no letter any more.
pub async fn retried_letter_is_no_longer_listed(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    bury_all(&stage, &*subscription, &["once"]).await;
    let Some(store) = store(&stage) else { return };
    let letter = stage.only_letter().await.id;
    retry(&stage, &letter).await;
    assert!(!store.retry(stage.queue(), &letter).await.expect("answered"), "it was retried twice");
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, Outcome::Done).await;
    stage.assert_empty(&*subscription).await;
}

/// No deduplication of the store swallows a job that comes back from the dead letters.
pub async fn bury_and_dead_letter_retry_twice_within_a_minute(stage: Stage) {
    let subscription = stage.subscribe().await;
    let jobs = stage.push_plain(1).await;
    for round in ["once", "twice"] {
        bury_all(&stage, &*subscription, &[round]).await;
        if store(&stage).is_none() {
            return;
        }
        let letter = stage.only_letter().await;
        assert_eq!(letter.error, round);
        retry(&stage, &letter.id).await;
    }
    let delivery = stage.hold_one(&*subscription).await;
    assert_eq!(ids(slice::from_ref(&delivery)), job_ids(&jobs));
    stage.settle(&delivery, Outcome::Done).await;
    stage.assert_empty(&*subscription).await;
}

/// A receipt from before a burial is no good for the delivery after the retry.
pub async fn receipt_from_before_a_burial_is_refused_after_the_retry(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let before = stage.hold_one(&*subscription).await;
    stage.settle(&before, bury()).await;
    if store(&stage).is_none() {
        return;
    }
    retry(&stage, &stage.only_letter().await.id).await;
    let after = stage.hold_one(&*subscription).await;
    let answer = stage.try_settle(&before, Outcome::Done).await;
    match stage.capabilities().fence {
        Fence::BestEffort => assert_ok_or_lease_lost(&answer),
        _ => assert_lease_lost(&answer),
    }
    stage.settle(&after, Outcome::Done).await;
}

/// Pages of letters, the oldest first, each from behind the one before; none twice, none left out.
pub async fn dead_letters_are_paged_by_their_id(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(7).await;
    let errors = ["1", "2", "3", "4", "5", "6", "7"];
    bury_all(&stage, &*subscription, &errors).await;
    let Some(store) = store(&stage) else { return };
    if !has_pages(&stage, store).await {
        return;
    }
    let mut page = store.list(stage.queue(), None, 3).await.expect("listed");
    let mut listed = Vec::new();
    while let Some(last) = page.last().map(|letter| letter.id.clone()) {
        listed.extend(page.into_iter().map(|letter| letter.error));
        assert!(listed.len() <= errors.len(), "letters were listed twice: {listed:?}");
        page = store.list(stage.queue(), Some(&last), 3).await.expect("listed");
    }
    assert_eq!(listed, errors);
}

/// A page begins behind its cursor, also when the letter of that name is gone.
pub async fn page_goes_on_behind_a_letter_that_is_gone(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(4).await;
    bury_all(&stage, &*subscription, &["1", "2", "3", "4"]).await;
    let Some(store) = store(&stage) else { return };
    if !has_pages(&stage, store).await {
        return;
    }
    let first = store.list(stage.queue(), None, 2).await.expect("listed");
    for letter in &first {
        assert!(store.remove(stage.queue(), &letter.id).await.expect("removed"));
    }
    let rest = store.list(stage.queue(), Some(&first[1].id), 2).await.expect("listed");
    assert_eq!(rest.iter().map(|letter| letter.error.as_str()).collect::<Vec<_>>(), ["3", "4"]);
}

/// Up to `limit` letters.
pub async fn list_answers_at_most_its_limit(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(3).await;
    bury_all(&stage, &*subscription, &["1", "2", "3"]).await;
    let Some(store) = store(&stage) else { return };
    for limit in 0..=2 {
        let listed = store.list(stage.queue(), None, limit).await.expect("listed").len();
        assert!(listed <= limit, "{listed} letters, not at most {limit}");
        assert!(listed == limit || stage.capabilities().dead_letters != Listing::Exact, "{listed} letters");
    }
}

/// Neither `retry_all` nor `clear` ends at some number of letters.
pub async fn retry_all_and_clear_have_no_cap(stage: Stage) {
    const MANY: usize = 1_500;
    let subscription = stage.subscribe().await;
    stage.push_plain(MANY).await;
    let taken = stage.hold(&*subscription, MANY).await;
    settle_all(&stage, &taken, bury()).await;
    let Some(store) = store(&stage) else { return };
    assert_eq!(store.retry_all(stage.queue()).await.expect("retried"), MANY as u64);
    let taken = stage.hold(&*subscription, MANY).await;
    settle_all(&stage, &taken, bury()).await;
    assert_eq!(store.clear(stage.queue()).await.expect("cleared"), MANY as u64);
    stage.assert_empty(&*subscription).await;
}

/// Retries the letters there are: none before, all once, none after.
pub async fn retry_all_makes_every_letter_ready(stage: Stage) {
    let subscription = stage.subscribe().await;
    let jobs = stage.push_plain(3).await;
    let Some(store) = store(&stage) else { return };
    assert_eq!(store.retry_all(stage.queue()).await.expect("answered"), 0);
    bury_all(&stage, &*subscription, &["1", "2", "3"]).await;
    assert_eq!(store.retry_all(stage.queue()).await.expect("answered"), 3);
    assert_eq!(store.retry_all(stage.queue()).await.expect("answered"), 0);
    assert_eq!(ids(&stage.hold(&*subscription, 3).await), job_ids(&jobs));
}

/// False if there is no such letter, whatever the name.
pub async fn letter_that_is_not_there_is_answered_false(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    bury_all(&stage, &*subscription, &["stays"]).await;
    let Some(store) = store(&stage) else { return };
    for bytes in [vec![], vec![0], vec![0xff; 8], vec![7; 16], b"no-such-letter".to_vec(), vec![b'9'; 300]] {
        let unknown = DeadLetterId::new(bytes);
        assert!(!store.retry(stage.queue(), &unknown).await.expect("answered"), "retried {unknown}");
        assert!(!store.remove(stage.queue(), &unknown).await.expect("answered"), "removed {unknown}");
    }
    assert_eq!(stage.only_letter().await.error, "stays");
}

/// A letter belongs to its queue: others neither list, count, retry nor remove it.
pub async fn letter_is_found_in_its_own_queue_alone(stage: Stage) {
    let (subscription, other) = (stage.subscribe().await, stage.another_queue());
    stage.push_plain(1).await;
    bury_all(&stage, &*subscription, &["mine"]).await;
    let Some(store) = store(&stage) else { return };
    let letter = stage.only_letter().await;
    assert_eq!(other.dead().await.len(), 0, "letters of another queue");
    assert_eq!(store.count(other.queue()).await.expect("counted"), 0);
    assert!(!store.retry(other.queue(), &letter.id).await.expect("answered"));
    assert!(!store.remove(other.queue(), &letter.id).await.expect("answered"));
    assert_eq!(store.retry_all(other.queue()).await.expect("answered"), 0);
    assert_eq!(store.clear(other.queue()).await.expect("answered"), 0);
    assert_eq!(stage.only_letter().await.id, letter.id);
}

/// Removes one for good, and no other.
pub async fn removed_letter_is_gone_for_good(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    bury_all(&stage, &*subscription, &["goes", "stays"]).await;
    let Some(store) = store(&stage) else { return };
    let letters = stage.letters(2).await;
    let goes = letters.iter().find(|letter| letter.error == "goes").expect("it is listed");
    stage
        .until_letters_are_found(async || store.remove(stage.queue(), &goes.id).await.expect("answered"))
        .await;
    assert!(!store.remove(stage.queue(), &goes.id).await.expect("answered"), "removed twice");
    assert!(!store.retry(stage.queue(), &goes.id).await.expect("answered"), "retried after its removal");
    assert_eq!(stage.only_letter().await.error, "stays");
    stage.assert_none_waits(&*subscription).await;
}

/// Clearing the dead letters removes nothing else.
pub async fn clearing_the_letters_leaves_the_waiting_jobs(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    bury_all(&stage, &*subscription, &["1", "2"]).await;
    let jobs = stage.push_plain(2).await;
    let Some(store) = store(&stage) else { return };
    assert_eq!(store.clear(stage.queue()).await.expect("cleared"), 2);
    assert_eq!(store.count(stage.queue()).await.expect("counted"), 0);
    assert_eq!(ids(&stage.hold(&*subscription, 2).await), job_ids(&jobs));
}

/// How many letters there are.
pub async fn letters_are_counted(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(3).await;
    let Some(store) = store(&stage) else { return };
    assert_eq!(store.count(stage.queue()).await.expect("counted"), 0);
    bury_all(&stage, &*subscription, &["1", "2"]).await;
    stage.assert_letters(2).await;
}

/// The dead letters, if the connection reads them back; that it says so is asserted.
fn store(stage: &Stage) -> Option<&dyn DeadLetterStore> {
    let store = stage.driver().dead_letters();
    assert_eq!(store.is_none(), stage.capabilities().dead_letters == Listing::None, "what is promised");
    store
}

/// Whether letters are listed page by page; if not, that a cursor is refused is asserted.
async fn has_pages(stage: &Stage, store: &dyn DeadLetterStore) -> bool {
    let has_pages = stage.capabilities().dead_letters == Listing::Exact;
    if !has_pages {
        let cursor = DeadLetterId::new(*b"a cursor");
        let refused = store.list(stage.queue(), Some(&cursor), 3).await.expect_err("a sample has no pages");
        assert!(matches!(refused.kind(), ErrorKind::Unsupported { .. }), "{refused}");
    }
    has_pages
}

/// Takes a job for each error and buries it, one after another.
async fn bury_all(stage: &Stage, subscription: &dyn Subscription, errors: &[&str]) {
    for error in errors {
        let delivery = stage.hold_one(subscription).await;
        stage.settle(&delivery, Outcome::Bury { error: (*error).into() }).await;
    }
}

/// Ends deliveries with one outcome, each must be answered `Ok`.
async fn settle_all(stage: &Stage, deliveries: &[Delivery], outcome: Outcome) {
    for answer in stage.try_settle_all(deliveries, &outcome).await {
        answer.expect("settled");
    }
}

/// The delivery of a job that was retried once and lost once.
async fn failed_and_lost(stage: &Stage, subscription: &dyn Subscription) -> Delivery {
    let first = stage.hold_one(subscription).await;
    stage.settle(&first, retry_now()).await;
    stage.take_one(subscription).await;
    let last = stage.hold_one(subscription).await;
    stage.assert_counts(&last, 2, 1);
    last
}

/// Makes one letter ready; where the listing is a sample it may have to be looked for again.
async fn retry(stage: &Stage, id: &DeadLetterId) {
    let store = stage.driver().dead_letters().expect("asked before");
    stage.until_letters_are_found(async || store.retry(stage.queue(), id).await.expect("answered")).await;
}
