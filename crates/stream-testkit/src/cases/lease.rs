//! Lease and fence: who owns a job, until when, and what a late outcome does.

use std::time::Duration;

use stream_core::{Delivery, ErrorKind, Fence, LONGEST, Outcome, Subscription};
use tokio::time::Instant;

use crate::{
    Stage,
    stage::{
        LONG_LEASE, NOT_LATER, assert_lease_lost, assert_ok_or_lease_lost, bury, ids, release_now, retry_now,
        take_over,
    },
};

/// A reserved job is invisible until its lease ends, and comes back then.
pub async fn reserved_job_is_invisible_until_its_lease_ends(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let reserved = Instant::now();
    let first = stage.take_one(&*subscription).await;
    let second = stage.hold_one(&*subscription).await;
    assert!(reserved.elapsed() >= stage.lease(), "it came back after {:?}", reserved.elapsed());
    assert_eq!(second.id(), first.id());
}

/// Each reserve has its own lease.
pub async fn each_reserve_has_a_lease_of_its_own(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    let long = stage.hold_one(&*subscription).await;
    let short = stage.take_one(&*subscription).await;
    assert_eq!(stage.hold_one(&*subscription).await.id(), short.id());
    stage.settle(&long, Outcome::Done).await;
}

/// A lease that ended but was not taken again is still good where the fence is `Exact`.
pub async fn ended_lease_that_was_not_taken_again_is_still_good(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = take_until_it_ends(&stage, &*subscription, 1).await.remove(0);
    let answer = stage.try_settle(&delivery, Outcome::Done).await;
    match stage.capabilities().fence {
        Fence::Exact if stage.has_timed_leases() => answer.expect("settled"),
        // Who waited may have fetched it: then the late outcome counts or it does not.
        Fence::BestEffort => return assert_ok_or_lease_lost(&answer),
        // Refused by the clock, or given back by the driver that kept the deadline: it comes again.
        _ => {
            assert_lease_lost(&answer);
            let again = stage.hold_one(&*subscription).await;
            stage.settle(&again, Outcome::Done).await;
        }
    }
    stage.assert_empty(&*subscription).await;
}

/// A store takes back only as many ended leases as a reserve returns.
pub async fn store_takes_back_only_as_many_ended_leases_as_it_returns(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(3).await;
    let ended = take_until_it_ends(&stage, &*subscription, 3).await;
    let again = stage.hold_one(&*subscription).await;
    let answers = stage.try_settle_all(&ended, &Outcome::Done).await;
    let good = answers.iter().filter(|answer| answer.is_ok()).count();
    if stage.capabilities().fence == Fence::Exact && stage.has_timed_leases() {
        assert_eq!(good, 2, "{answers:?}");
        answers.iter().filter(|answer| answer.is_err()).for_each(assert_lease_lost);
        stage.settle(&again, Outcome::Done).await;
        return stage.assert_empty(&*subscription).await;
    }
    // Elsewhere an ended lease is over: whatever was not answered `Ok` comes again.
    let rest = stage.hold(&*subscription, 3 - 1 - good.min(2)).await;
    assert!(!ids(&rest).contains(&again.id().expect("an id")), "one job was taken twice");
}

/// A late `Done` is refused, and the job stays with whom it was given to.
pub async fn zombie_done_after_take_over_is_refused_and_changes_nothing(stage: Stage) {
    zombie_is_refused(&stage, Outcome::Done).await;
}

/// A late `Retry` is refused and makes no copy.
pub async fn zombie_retry_after_take_over_is_refused_and_copies_nothing(stage: Stage) {
    zombie_is_refused(&stage, retry_now()).await;
}

/// A late `Retry` with a wait is refused and makes no delayed copy.
pub async fn zombie_delayed_retry_after_take_over_is_refused_and_copies_nothing(stage: Stage) {
    let after = stage.capabilities().retry_delay.max().min(Duration::from_millis(300));
    zombie_is_refused(&stage, Outcome::Retry { after, error: "failed".into() }).await;
}

/// A late `Bury` is refused and leaves no dead letter.
pub async fn zombie_bury_after_take_over_is_refused_and_copies_nothing(stage: Stage) {
    zombie_is_refused(&stage, bury()).await;
}

/// A late `Release` is refused and makes no copy.
pub async fn zombie_release_after_take_over_is_refused_and_copies_nothing(stage: Stage) {
    zombie_is_refused(&stage, release_now()).await;
}

/// A late extension is refused, and the current lease stays as it is.
pub async fn zombie_extend_after_take_over_is_refused_and_changes_nothing(stage: Stage) {
    stage.push_plain(1).await;
    let (zombie, other, subscription, current) = take_over(&stage).await;
    let answer = stage.try_extend(&zombie, stage.lease()).await;
    if stage.capabilities().fence == Fence::BestEffort {
        return assert_ok_or_lease_lost(&answer);
    }
    assert_lease_lost(&answer);
    // Were the current lease cut short, the job would come again.
    let again = other.whatever_comes(&*subscription, stage.lease() * 2).await;
    assert_eq!(again.len(), 0, "the current lease was changed");
    other.settle(&current, Outcome::Done).await;
    other.assert_empty(&*subscription).await;
}

/// A receipt is good for one delivery, also where one subscription took both.
pub async fn zombie_is_refused_on_its_own_connection_as_well(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let zombie = stage.take_one(&*subscription).await;
    let current = stage.hold_one(&*subscription).await;
    let answer = stage.try_settle(&zombie, Outcome::Done).await;
    if stage.capabilities().fence == Fence::BestEffort {
        return assert_ok_or_lease_lost(&answer);
    }
    assert_lease_lost(&answer);
    stage.settle(&current, Outcome::Done).await;
    stage.assert_empty(&*subscription).await;
}

/// `extend` makes a lease end that long from now, not from the reserve.
pub async fn extended_lease_ends_that_long_after_the_extension(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.take_one(&*subscription).await;
    let extended = Instant::now();
    stage.try_extend(&delivery, stage.lease() * 2).await.expect("extended");
    stage.hold_one(&*subscription).await;
    assert!(extended.elapsed() >= stage.lease() * 2, "it came back after {:?}", extended.elapsed());
}

/// `extend` makes a lease end that long from now, sooner than before as well.
pub async fn extension_can_shorten_a_lease(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.try_extend(&delivery, stage.lease()).await.expect("extended");
    assert_eq!(stage.hold_one(&*subscription).await.id(), delivery.id());
}

/// Extending one delivery of a reserve leaves the leases of the others.
pub async fn extension_of_one_delivery_leaves_the_others(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    let taken = stage.take(&*subscription, 2).await;
    stage.try_extend(&taken[0], LONG_LEASE).await.expect("extended");
    let again = stage.hold_one(&*subscription).await;
    assert_eq!(again.id(), taken[1].id());
    stage.finish(&[taken[0].clone(), again]).await;
    stage.assert_empty(&*subscription).await;
}

/// A delivery stays good however often it is extended, past its first lease.
pub async fn extended_delivery_is_good_past_its_first_lease(stage: Stage) {
    let (subscription, bystander) = (stage.subscribe().await, stage.elsewhere().await);
    let elsewhere = bystander.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.take_one(&*subscription).await;
    stage.try_extend(&delivery, stage.lease() * 3).await.expect("extended");
    let taken = bystander.whatever_comes(&*elsewhere, stage.lease() * 2).await;
    assert_eq!(taken.len(), 0, "the job was taken while it was extended");
    stage.settle(&delivery, Outcome::Done).await;
    stage.assert_empty(&*subscription).await;
}

/// `LeaseLost` for a delivery that is over, and the job is not brought back.
pub async fn extension_of_a_delivery_that_is_over_is_refused(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, Outcome::Done).await;
    let answer = stage.try_extend(&delivery, stage.lease()).await;
    if stage.capabilities().fence == Fence::BestEffort && answer.is_ok() {
        return stage.assert_empty(&*subscription).await;
    }
    assert_lease_lost(&answer);
    stage.assert_empty(&*subscription).await;
}

/// An ended lease that was not taken again is good for an extension too, where the fence is `Exact`.
pub async fn extension_of_an_ended_lease_holds_the_job_again(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = take_until_it_ends(&stage, &*subscription, 1).await.remove(0);
    let answer = stage.try_extend(&delivery, LONG_LEASE).await;
    match stage.capabilities().fence {
        Fence::Exact if stage.has_timed_leases() => {
            answer.expect("extended");
            let taken = stage.whatever_comes(&*subscription, stage.lease()).await;
            assert_eq!(taken.len(), 0, "the job was taken while it was extended");
            stage.settle(&delivery, Outcome::Done).await;
        }
        Fence::BestEffort => return assert_ok_or_lease_lost(&answer),
        _ => {
            assert_lease_lost(&answer);
            let again = stage.hold_one(&*subscription).await;
            stage.settle(&again, Outcome::Done).await;
        }
    }
    stage.assert_empty(&*subscription).await;
}

/// An extension beyond the longest total is refused and changes nothing.
pub async fn extension_beyond_the_longest_total_is_refused(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = stage.hold_one(&*subscription).await;
    match stage.capabilities().lease.max() {
        None => stage.try_extend(&delivery, LONGEST).await.expect("extended"),
        Some(max) => {
            let refused = stage.try_extend(&delivery, max + Duration::from_secs(1)).await;
            let refused = refused.expect_err("the extension is refused");
            assert!(matches!(refused.kind(), ErrorKind::Unsupported { .. }), "{refused}");
        }
    }
    stage.settle(&delivery, Outcome::Done).await;
    stage.assert_empty(&*subscription).await;
}

/// Where the fence is `Exact` and the lease timed, the end of a lease alone says nothing against a
/// delivery; elsewhere time alone does.
pub async fn ended_lease_leaves_a_delivery_current_where_it_may_still_count(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let delivery = take_until_it_ends(&stage, &*subscription, 1).await.remove(0);
    let may_count = stage.capabilities().fence == Fence::Exact && stage.has_timed_leases();
    assert_eq!(stage.driver().is_current(&delivery), may_count);
}

/// An empty batch is answered empty.
pub async fn empty_batch_of_extensions_is_answered_empty(stage: Stage) {
    assert!(stage.driver().extend(stage.queue(), &[], stage.lease()).await.is_empty());
}

/// One refused extension never fails its neighbours.
pub async fn one_refused_extension_never_fails_its_neighbours(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(3).await;
    let taken = stage.hold(&*subscription, 3).await;
    stage.settle(&taken[1], Outcome::Done).await;
    let all: Vec<_> = taken.iter().collect();
    let answers = stage.driver().extend(stage.queue(), &all, LONG_LEASE).await;
    assert!(matches!(&answers[..], [Ok(()), _, Ok(())]), "{answers:?}");
    if stage.capabilities().fence != Fence::BestEffort {
        assert_lease_lost(&answers[1]);
    }
}

/// Every operation takes many; the driver splits by its store's limits itself.
pub async fn extensions_beyond_the_stores_batch_are_split_and_answered(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(250).await;
    let taken = stage.hold(&*subscription, 250).await;
    let all: Vec<_> = taken.iter().collect();
    let answers = stage.driver().extend(stage.queue(), &all, LONG_LEASE).await;
    assert_eq!(answers.len(), 250, "one answer for each delivery");
    answers.into_iter().for_each(|answer| answer.expect("extended"));
}

/// Takes jobs on the lease of most cases and waits, taking nothing, until it has ended for all.
async fn take_until_it_ends(stage: &Stage, subscription: &dyn Subscription, count: usize) -> Vec<Delivery> {
    let taken = stage.take(subscription, count).await;
    let ends = Instant::now() + stage.lease();
    loop {
        let named = subscription.ready(NOT_LATER).await.expect("ready answers");
        if Instant::now() >= ends && named.contains(stage.queue()) {
            return taken;
        }
        assert!(Instant::now() < ends + NOT_LATER, "the ended lease woke nobody");
    }
}

async fn zombie_is_refused(stage: &Stage, outcome: Outcome) {
    stage.push_plain(1).await;
    let (zombie, other, subscription, current) = take_over(stage).await;
    let answer = stage.try_settle(&zombie, outcome).await;
    if stage.capabilities().fence == Fence::BestEffort {
        return assert_ok_or_lease_lost(&answer);
    }
    assert_lease_lost(&answer);
    let copies = other.whatever_comes(&*subscription, Duration::from_millis(500)).await;
    assert_eq!(copies.len(), 0, "copies came");
    other.settle(&current, Outcome::Done).await;
    other.assert_empty(&*subscription).await;
}
