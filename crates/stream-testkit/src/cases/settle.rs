//! Settle: the only verb that ends a delivery, once.

use stream_core::{Delivery, Fence, Listing, Outcome, Result, Settlement};

use crate::{
    Stage,
    stage::{assert_lease_lost, assert_ok_or_lease_lost, bury, release_now, retry_now, take_over},
};

/// `Done` forgets the job.
pub async fn done_job_never_comes_again(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.take_one(&*subscription).await;
    stage.settle(&delivery, Outcome::Done).await;
    let later = stage.whatever_comes(&*subscription, stage.lease() * 2).await;
    assert_eq!(later.len(), 0, "the job came again");
    stage.assert_empty(&*subscription).await;
}

/// `Bury` ends the deliveries of a job.
pub async fn buried_job_never_comes_again(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.take_one(&*subscription).await;
    stage.settle(&delivery, bury()).await;
    let later = stage.whatever_comes(&*subscription, stage.lease() * 2).await;
    assert_eq!(later.len(), 0, "the job came again");
}

/// An empty batch is answered empty.
pub async fn empty_batch_of_settlements_is_answered_empty(stage: Stage) {
    assert!(stage.driver().settle(stage.queue(), &[]).await.is_empty());
}

/// Every operation takes many; the driver splits by its store's limits itself.
pub async fn settlements_beyond_the_stores_batch_are_split_and_answered(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(250).await;
    let deliveries = stage.hold(&*subscription, 250).await;
    stage.finish(&deliveries).await;
    stage.assert_empty(&*subscription).await;
}

/// Each settlement of a batch has its own outcome.
pub async fn settlements_of_one_batch_may_differ(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(4).await;
    let taken = stage.hold(&*subscription, 4).await;
    let outcomes = [Outcome::Done, retry_now(), bury(), release_now()];
    let answers = settle(&stage, taken.iter().zip(&outcomes)).await;
    answers.into_iter().for_each(|answer| answer.expect("settled"));

    let mut again = stage.hold(&*subscription, 2).await;
    again.sort_by_key(|delivery| delivery.id() == taken[3].id());
    assert_eq!([again[0].id(), again[1].id()], [taken[1].id(), taken[3].id()], "retried and released");
    stage.finish(&again).await;
    stage.assert_none_waits(&*subscription).await;
    assert_dead(&stage, 1).await;
}

/// One refused settlement never fails its neighbours.
pub async fn one_refused_settlement_never_fails_its_neighbours(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(3).await;
    let taken = stage.hold(&*subscription, 3).await;
    stage.settle(&taken[1], Outcome::Done).await;
    let answers = stage.try_settle_all(&taken, &Outcome::Done).await;
    assert!(matches!(&answers[..], [Ok(()), _, Ok(())]), "{answers:?}");
    if stage.capabilities().fence != Fence::BestEffort {
        assert_lease_lost(&answers[1]);
    }
    stage.assert_empty(&*subscription).await;
}

/// A receipt is good for one delivery: what was settled is over, whichever the outcomes.
pub async fn settled_delivery_is_refused_a_second_time(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    for first in [retry_now(), release_now(), Outcome::Done] {
        let delivery = stage.hold_one(&*subscription).await;
        stage.settle(&delivery, first).await;
        for second in [Outcome::Done, retry_now(), bury(), release_now()] {
            let answer = stage.try_settle(&delivery, second).await;
            if stage.capabilities().fence == Fence::BestEffort {
                // A late outcome may be taken for a current one; that ends the case here.
                return assert_ok_or_lease_lost(&answer);
            }
            assert_lease_lost(&answer);
        }
    }
    stage.assert_empty(&*subscription).await;
}

/// Of several settlements of one delivery in a batch exactly one is answered `Ok`.
pub async fn several_settlements_of_one_delivery_have_exactly_one_ok(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    let outcomes = [retry_now(), Outcome::Done, bury(), release_now()];
    let answers = settle(&stage, outcomes.iter().map(|outcome| (&delivery, outcome))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    answers.iter().filter(|answer| answer.is_err()).for_each(assert_lease_lost);

    let won = answers.iter().position(Result::is_ok).expect("one is Ok");
    if matches!(outcomes[won], Outcome::Retry { .. } | Outcome::Release { .. }) {
        let again = stage.hold_one(&*subscription).await;
        stage.settle(&again, Outcome::Done).await;
    }
    stage.assert_none_waits(&*subscription).await;
    assert_dead(&stage, usize::from(outcomes[won] == bury())).await;
}

/// Answer *i* for settlement *i*: good, over and gone, over and taken again, one delivery twice.
pub async fn batch_of_good_stale_and_double_settlements_answers_each(stage: Stage) {
    stage.push_plain(1).await;
    let (taken_again, other, elsewhere, current) = take_over(&stage).await;
    let subscription = stage.subscribe().await;
    stage.push_plain(3).await;
    let held = stage.hold(&*subscription, 3).await;
    let [gone, good, double] = &held[..] else { panic!("three were taken") };
    stage.settle(gone, Outcome::Done).await;

    let (done, retry, bury) = (Outcome::Done, retry_now(), bury());
    let batch = [(gone, &retry), (good, &done), (&taken_again, &bury), (double, &done), (double, &bury)];
    let answers = settle(&stage, batch).await;
    assert_eq!(answers.len(), batch.len(), "one answer for each settlement");
    if stage.capabilities().fence == Fence::BestEffort {
        // A late outcome may be taken for a current one, but not for an error of another kind.
        return answers.iter().for_each(assert_ok_or_lease_lost);
    }
    let are_ok: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(are_ok[..3], [false, true, false], "{answers:?}");
    assert!(are_ok[3] != are_ok[4], "exactly one of two is Ok: {answers:?}");
    answers.iter().filter(|answer| answer.is_err()).for_each(assert_lease_lost);

    other.settle(&current, Outcome::Done).await;
    other.assert_none_waits(&*elsewhere).await;
    assert_dead(&stage, usize::from(are_ok[4])).await;
}

/// A delivery can be serialised; another process may settle it where the lease is timed.
pub async fn delivery_can_be_settled_by_another_process(stage: Stage) {
    let other = stage.elsewhere().await;
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    let text = serde_json::to_string(&delivery).expect("a delivery is serialised");
    let copy: Delivery = serde_json::from_str(&text).expect("a delivery is read back");
    assert_eq!((copy.id(), &copy.receipt), (delivery.id(), &delivery.receipt));
    let answer = other.try_settle(&copy, Outcome::Done).await;
    if stage.has_timed_leases() {
        answer.expect("settled elsewhere");
    } else {
        assert_lease_lost(&answer);
        stage.settle(&delivery, Outcome::Done).await;
    }
    stage.assert_empty(&*subscription).await;
}

/// The driver knows of a delivery that it settled that it is over.
pub async fn settled_delivery_is_no_longer_current(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    let taken = stage.hold(&*subscription, 2).await;
    stage.settle(&taken[0], Outcome::Done).await;
    assert!(!stage.driver().is_current(&taken[0]), "a settled delivery is current");
    assert!(stage.driver().is_current(&taken[1]), "another delivery is not");
}

/// The driver knows of a delivery whose outcome was refused that it is over.
pub async fn refused_delivery_is_no_longer_current(stage: Stage) {
    stage.push_plain(1).await;
    let (zombie, other, _subscription, current) = take_over(&stage).await;
    let answer = stage.try_settle(&zombie, Outcome::Done).await;
    if stage.capabilities().fence == Fence::BestEffort {
        assert_ok_or_lease_lost(&answer);
    } else {
        assert_lease_lost(&answer);
        assert!(other.driver().is_current(&current), "the delivery that counts is not current");
    }
    assert!(!stage.driver().is_current(&zombie), "a refused delivery is current");
}

async fn settle<'a>(
    stage: &Stage,
    pairs: impl IntoIterator<Item = (&'a Delivery, &'a Outcome)>,
) -> Vec<Result<()>> {
    let settlements: Vec<_> = pairs.into_iter().map(|(it, outcome)| Settlement::new(it, outcome)).collect();
    stage.driver().settle(stage.queue(), &settlements).await
}

/// Asserts the number of dead letters, where the connection lists every one.
async fn assert_dead(stage: &Stage, count: usize) {
    if stage.capabilities().dead_letters == Listing::Exact {
        assert_eq!(stage.dead().await.len(), count, "dead letters");
    } else {
        assert!(stage.dead().await.len() <= count, "dead letters");
    }
}
