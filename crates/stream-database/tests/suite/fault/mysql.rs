//! Each verb when its statement is not sent, and when its answer is lost after the server has obeyed.

pub(crate) mod scene;
mod server;

use std::time::Duration;

use self::scene::{LEASE, Scene, job, kind, limited};
use stream_core::{Driver, ErrorKind, Outcome, Pushed, Reserve};

#[tokio::test]
async fn a_push_without_an_answer_is_unknown_and_recognised_when_repeated() {
    let name = "fault::mysql::a_push_without_an_answer_is_unknown_and_recognised_when_repeated";
    let Some(scene) = Scene::new(name).await else { return };
    let job = job();

    scene.lose_answers().await;
    assert_eq!(kind(scene.push(&job).await), ErrorKind::OutcomeUnknown);
    scene.until((1, 0, 0)).await;
    scene.plug_in().await;

    assert_eq!(scene.push(&job).await.unwrap(), Pushed::AlreadyStored(job.envelope.id));
    scene.until((1, 0, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_unavailable_and_nothing_is_changed() {
    let name = "fault::mysql::what_cannot_be_sent_is_unavailable_and_nothing_is_changed";
    let Some(scene) = Scene::new(name).await else { return };
    let subscription = scene.subscribe(&scene.driver).await;
    let (stored, job) = (job(), job());
    scene.push(&stored).await.unwrap();
    let delivery = scene.take().await;

    scene.unplug().await;
    // The first call finds the connection that was cut, and cannot know what was read of it.
    assert_eq!(kind(scene.driver.depth(&scene.queue).await), ErrorKind::Unavailable);
    assert_eq!(kind(scene.push(&job).await), ErrorKind::Unavailable);
    let request = Reserve::new(1).lease(LEASE);
    assert_eq!(kind(subscription.reserve(&scene.queue, request).await), ErrorKind::Unavailable);
    assert_eq!(kind(scene.settle(&delivery, &Outcome::Done).await), ErrorKind::Unavailable);
    let extended = scene.driver.extend(&scene.queue, &[&delivery], LEASE).await.remove(0);
    assert_eq!(kind(extended), ErrorKind::Unavailable);
    let letters = scene.driver.dead_letters().unwrap();
    assert_eq!(kind(letters.retry_all(&scene.queue).await), ErrorKind::Unavailable);
    let depth = scene.direct.depth(&scene.queue).await.unwrap();
    assert_eq!(depth.ready + depth.reserved, 1);

    scene.plug_in().await;
    scene.push(&job).await.unwrap();
    scene.settle(&delivery, &Outcome::Done).await.unwrap();
    scene.until((1, 0, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn a_reserve_without_an_answer_leaves_its_jobs_to_their_leases() {
    let name = "fault::mysql::a_reserve_without_an_answer_leaves_its_jobs_to_their_leases";
    let Some(scene) = Scene::new(name).await else { return };
    let subscription = scene.subscribe(&scene.driver).await;
    scene.push(&job()).await.unwrap();

    scene.lose_answers().await;
    let lost = subscription.reserve(&scene.queue, Reserve::new(1).lease(LEASE)).await;
    assert_eq!(kind(lost), ErrorKind::OutcomeUnknown);
    scene.plug_in().await;
    scene.until((1, 0, 0)).await;

    let delivery = scene.take().await;
    assert_eq!((delivery.attempt, delivery.lost), (1, 1));
    scene.settle(&delivery, &Outcome::Done).await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn an_outcome_without_an_answer_counts_once() {
    let Some(scene) = Scene::new("fault::mysql::an_outcome_without_an_answer_counts_once").await else {
        return;
    };
    let error = String::from("no luck");
    let outcomes = [
        (Outcome::Done, (0, 0, 0)),
        (Outcome::Retry { after: Duration::ZERO, error: error.clone() }, (1, 0, 0)),
        (Outcome::Release { after: Duration::ZERO }, (1, 0, 0)),
        (Outcome::Bury { error }, (0, 0, 1)),
    ];
    for (outcome, left) in outcomes {
        scene.push(&job()).await.unwrap();
        let delivery = scene.take().await;

        scene.lose_answers().await;
        assert_eq!(kind(scene.settle(&delivery, &outcome).await), ErrorKind::OutcomeUnknown, "{outcome:?}");
        scene.until(left).await;
        scene.plug_in().await;

        assert_eq!(kind(scene.settle(&delivery, &outcome).await), ErrorKind::LeaseLost, "{outcome:?}");
        scene.until(left).await;
        scene.direct.clear(&scene.queue).await.unwrap();
        scene.direct.dead_letters().unwrap().clear(&scene.queue).await.unwrap();
    }
    scene.end().await;
}

#[tokio::test]
async fn an_extend_without_an_answer_can_be_repeated() {
    let Some(scene) = Scene::new("fault::mysql::an_extend_without_an_answer_can_be_repeated").await else {
        return;
    };
    scene.push(&job()).await.unwrap();
    let delivery = scene.take().await;
    let long = Duration::from_secs(60);

    scene.lose_answers().await;
    let lost = scene.driver.extend(&scene.queue, &[&delivery], long).await.remove(0);
    assert_eq!(kind(lost), ErrorKind::OutcomeUnknown);
    scene.plug_in().await;

    assert!(scene.driver.is_current(&delivery));
    scene.driver.extend(&scene.queue, &[&delivery], long).await.remove(0).unwrap();
    scene.settle(&delivery, &Outcome::Done).await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn a_letter_whose_retry_was_not_answered_is_one_job() {
    let Some(scene) = Scene::new("fault::mysql::a_letter_whose_retry_was_not_answered_is_one_job").await
    else {
        return;
    };
    scene.push(&job()).await.unwrap();
    let delivery = scene.take().await;
    scene.settle(&delivery, &Outcome::Bury { error: "hopeless".into() }).await.unwrap();
    let letters = scene.driver.dead_letters().unwrap();
    let letter = letters.list(&scene.queue, None, 1).await.unwrap().remove(0);

    scene.lose_answers().await;
    assert_eq!(kind(letters.retry(&scene.queue, &letter.id).await), ErrorKind::OutcomeUnknown);
    scene.until((1, 0, 0)).await;
    scene.plug_in().await;

    assert!(!letters.retry(&scene.queue, &letter.id).await.unwrap());
    scene.until((1, 0, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn a_migration_without_an_answer_can_be_repeated() {
    let Some(scene) = Scene::new("fault::mysql::a_migration_without_an_answer_can_be_repeated").await else {
        return;
    };
    scene.own.drop_tables().await;

    scene.proxy.eat_replies();
    assert!(scene.driver.migrate().await.unwrap_err().is_transient());
    scene.plug_in().await;

    scene.driver.migrate().await.unwrap();
    scene.push(&job()).await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn a_call_that_was_given_up_leaves_no_connection_behind_that_hangs() {
    let name = "fault::mysql::a_call_that_was_given_up_leaves_no_connection_behind_that_hangs";
    let Some(scene) = Scene::new(name).await else { return };
    let job = job();

    scene.lose_answers().await;
    assert_eq!(kind(scene.push(&job).await), ErrorKind::OutcomeUnknown);
    // The answer never comes, and nothing tells that: it is the driver that has closed its only connection.
    scene.proxy.pass().await;

    assert_eq!(scene.push(&job).await.unwrap(), Pushed::AlreadyStored(job.envelope.id));
    scene.end().await;
}

#[tokio::test]
async fn a_repeated_push_without_an_answer_can_be_repeated_again() {
    let name = "fault::mysql::a_repeated_push_without_an_answer_can_be_repeated_again";
    let Some(scene) = Scene::new(name).await else { return };
    let (job, other) = (job(), job());
    scene.push(&job).await.unwrap();

    // The answers to the insert of both and to the question what is in the way are passed on, that to the
    // insert of the other is not.
    scene.prepare_statements().await;
    let jobs = [job.clone(), other.clone()];
    let pushed = scene.losing_answer(3, scene.driver.push(&scene.queue, &jobs)).await;
    let kinds: Vec<_> =
        pushed.into_iter().map(|answer| answer.map_err(|error| error.kind().clone())).collect();
    scene.plug_in().await;

    assert_eq!(kinds, [Err(ErrorKind::OutcomeUnknown), Err(ErrorKind::OutcomeUnknown)]);
    for job in [&job, &other] {
        assert_eq!(scene.push(job).await.unwrap(), Pushed::AlreadyStored(job.envelope.id));
    }
    scene.until((2, 0, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn a_limited_reserve_without_an_answer_has_spent_its_permits() {
    let name = "fault::mysql::a_limited_reserve_without_an_answer_has_spent_its_permits";
    let Some(scene) = Scene::new(name).await else { return };
    let subscription = scene.subscribe(&scene.driver).await;
    let direct = scene.subscribe(&scene.direct).await;
    // The log is made by the first limited reserve, which takes one.
    for _ in 0..3 {
        scene.push(&job()).await.unwrap();
    }
    assert_eq!(direct.reserve(&scene.queue, limited(1)).await.unwrap().len(), 1);

    // Begin, lock, take, note, commit: each waits for the answer to the one before.
    for (lost, is_taken) in [(1, false), (3, false), (5, true)] {
        scene.prepare_statements().await;
        let reserve = subscription.reserve(&scene.queue, limited(2));
        let failed = scene.losing_answer(lost, reserve).await;
        assert!(failed.unwrap_err().is_transient(), "{lost}");
        scene.plug_in().await;
        let depth = scene.direct.depth(&scene.queue).await.unwrap();
        assert_eq!(depth.reserved, 1 + u64::from(is_taken), "{lost}");
    }

    assert!(direct.reserve(&scene.queue, limited(2)).await.unwrap().is_empty(), "the permits are spent");
    assert_eq!(direct.reserve(&scene.queue, limited(3)).await.unwrap().len(), 1);
    scene.end().await;
}

#[tokio::test]
async fn a_clear_without_an_answer_can_be_repeated() {
    let Some(scene) = Scene::new("fault::mysql::a_clear_without_an_answer_can_be_repeated").await else {
        return;
    };
    scene.push(&job()).await.unwrap();
    let delivery = scene.take().await;
    scene.push(&job()).await.unwrap();

    scene.lose_answers().await;
    assert_eq!(kind(scene.driver.clear(&scene.queue).await), ErrorKind::OutcomeUnknown);
    scene.until((0, 1, 0)).await;
    scene.plug_in().await;

    assert_eq!(scene.driver.clear(&scene.queue).await.unwrap().waiting, Some(0));
    scene.settle(&delivery, &Outcome::Done).await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn letters_whose_list_was_not_answered_stay_and_removed_ones_are_gone() {
    let name = "fault::mysql::letters_whose_list_was_not_answered_stay_and_removed_ones_are_gone";
    let Some(scene) = Scene::new(name).await else { return };
    for _ in 0..2 {
        scene.push(&job()).await.unwrap();
        let delivery = scene.take().await;
        scene.settle(&delivery, &Outcome::Bury { error: "hopeless".into() }).await.unwrap();
    }
    let letters = scene.driver.dead_letters().unwrap();

    scene.lose_answers().await;
    assert_eq!(kind(letters.list(&scene.queue, None, 9).await), ErrorKind::Unavailable);
    scene.plug_in().await;
    let first = letters.list(&scene.queue, None, 9).await.unwrap().remove(0);
    scene.lose_answers().await;
    assert_eq!(kind(letters.remove(&scene.queue, &first.id).await), ErrorKind::OutcomeUnknown);
    scene.until((0, 0, 1)).await;
    scene.plug_in().await;

    assert!(!letters.remove(&scene.queue, &first.id).await.unwrap());
    assert_eq!(letters.count(&scene.queue).await.unwrap(), 1);
    scene.end().await;
}
