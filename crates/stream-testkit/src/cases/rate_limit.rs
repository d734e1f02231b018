//! Rate limit: shared by all processes, in any window, for what is really taken.

use std::time::Duration;

use stream_core::{Error, ErrorKind, RateLimit, Reserve, Subscription};
use tokio::{join, time::Instant};

use crate::{
    Stage,
    stage::{LONG_LEASE, NOT_LATER, ids, job_ids, release_now},
};

/// A short while in which a job would come if it were allowed to.
const A_WHILE: Duration = Duration::from_millis(300);

/// Where no rate limit is promised a reserve that names one is refused, else it is served.
pub async fn rate_limit_is_refused_where_it_is_not_promised(stage: Stage) {
    stage.push_plain(1).await;
    if !is_promised(&stage).await {
        // Nothing was taken.
        let delivery = stage.hold_one(&*stage.subscribe().await).await;
        return stage.assert_counts(&delivery, 1, 0);
    }
    let request = Reserve::new(1).rate_limit(RateLimit::per_second(1));
    let taken = stage.manager().reserve(stage.queue().as_str(), request).await.expect("reserved");
    assert_eq!(taken.len(), 1);
    taken[0].complete().await.expect("completed");
}

/// At most `limit` jobs are taken in any window, by two connections together.
pub async fn rate_limit_holds_in_any_window(stage: Stage) {
    let limit = RateLimit::new(5, Duration::from_millis(400));
    if !is_promised(&stage).await {
        return;
    }
    stage.push_plain(31).await;
    let other = stage.elsewhere().await;
    let span = Duration::from_millis(1_500);
    let (mine, theirs) = join!(takes(&stage, limit, 3, span), takes(&other, limit, 2, span));
    let mut takes = [mine, theirs].concat();
    takes.sort_by_key(|take| take.ended);
    assert!(takes.len() > 10, "only {} jobs were taken", takes.len());
    for one_too_many in takes.windows(limit.limit as usize + 1) {
        // Each job was taken between the beginning and the end of its call, so these are a window or
        // more apart only if the outer moments are.
        let began = one_too_many.iter().map(|take| take.began).min().expect("not empty");
        let ended = one_too_many.iter().map(|take| take.ended).max().expect("not empty");
        assert!(ended - began >= limit.window, "{} jobs in {:?}", limit.limit + 1, ended - began);
    }
}

/// Under a backlog nearly all of the limit is used.
pub async fn rate_limit_is_used_up_under_a_backlog(stage: Stage) {
    const WINDOWS: u32 = 8;
    let limit = RateLimit::new(10, Duration::from_millis(250));
    if !is_promised(&stage).await {
        return;
    }
    let jobs = limit.limit * WINDOWS + 1;
    stage.push_plain(jobs as usize).await;
    let subscription = stage.subscribe().await;
    let began = Instant::now();
    stage.take_as(&*subscription, jobs as usize, limited(100, limit)).await;
    // 95 % of the limit, and half a second for a busy machine.
    let longest = (limit.window * WINDOWS).div_f64(0.95) + Duration::from_millis(500);
    assert!(began.elapsed() <= longest, "{jobs} jobs took {:?}", began.elapsed());
}

/// One call takes no more than the limit, and the rest stay.
pub async fn one_call_takes_no_more_than_the_limit(stage: Stage) {
    if !is_promised(&stage).await {
        return;
    }
    stage.push_plain(10).await;
    let subscription = stage.subscribe().await;
    let limit = limited(10, RateLimit::per_minute(3));
    assert_eq!(whatever_comes(&stage, &*subscription, limit).await, 3);
    assert_eq!(stage.hold(&*subscription, 7).await.len(), 7);
}

/// An empty queue spends no permit.
pub async fn empty_queue_spends_no_permit(stage: Stage) {
    if !is_promised(&stage).await {
        return;
    }
    let subscription = stage.subscribe().await;
    let limit = limited(2, RateLimit::per_minute(2));
    for _ in 0..3 {
        let taken = subscription.reserve(stage.queue(), limit).await.expect("reserved");
        assert_eq!(taken.len(), 0);
    }
    stage.push_plain(2).await;
    stage.take_as(&*subscription, 2, limit).await;
}

/// Only what is returned spends a permit, not what was asked for.
pub async fn only_returned_jobs_spend_permits(stage: Stage) {
    if !is_promised(&stage).await {
        return;
    }
    let subscription = stage.subscribe().await;
    let limit = limited(3, RateLimit::per_minute(3));
    stage.push_plain(1).await;
    let taken = subscription.reserve(stage.queue(), limit).await.expect("reserved");
    assert_eq!(taken.len(), 1);
    stage.push_plain(3).await;
    assert_eq!(whatever_comes(&stage, &*subscription, limit).await, 2);
}

/// A job that is delivered again spends a permit again.
pub async fn redelivery_spends_a_permit_again(stage: Stage) {
    if !is_promised(&stage).await {
        return;
    }
    let subscription = stage.subscribe().await;
    let limit = limited(1, RateLimit::per_minute(2));
    stage.push_plain(1).await;
    for _ in 0..2 {
        let taken = stage.take_as(&*subscription, 1, limit).await;
        stage.settle(&taken[0], release_now()).await;
    }
    assert_eq!(whatever_comes(&stage, &*subscription, limit).await, 0);
}

/// What one connection took counts for the others.
pub async fn permits_are_shared_by_all_connections(stage: Stage) {
    if !is_promised(&stage).await {
        return;
    }
    let other = stage.elsewhere().await;
    let limit = limited(2, RateLimit::per_minute(2));
    stage.push_plain(4).await;
    stage.take_as(&*stage.subscribe().await, 2, limit).await;
    assert_eq!(whatever_comes(&other, &*other.subscribe().await, limit).await, 0);
}

/// A permit that comes free wakes who waits, and not before.
pub async fn ready_wakes_for_a_free_permit(stage: Stage) {
    if !is_promised(&stage).await {
        return;
    }
    let window = Duration::from_millis(500);
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    let began = Instant::now();
    stage.take_as(&*subscription, 2, limited(1, RateLimit::new(1, window))).await;
    assert!(began.elapsed() >= window, "the second came after {:?}", began.elapsed());
}

/// After a refusal a queue is not named before a permit can be free: nobody spins on it.
pub async fn limited_queue_is_not_named_before_a_permit_is_free(stage: Stage) {
    if !is_promised(&stage).await {
        return;
    }
    let subscription = stage.subscribe().await;
    let limit = limited(1, RateLimit::per_minute(1));
    stage.push_plain(2).await;
    stage.take_as(&*subscription, 1, limit).await;
    assert_eq!(subscription.reserve(stage.queue(), limit).await.expect("reserved").len(), 0);
    let named = subscription.ready(A_WHILE).await.expect("ready answers");
    assert!(!named.contains(stage.queue()), "it was named");
}

/// A limit that is used up holds back no other queue of the subscription.
pub async fn limit_of_one_queue_holds_back_no_other(stage: Stage) {
    if !is_promised(&stage).await {
        return;
    }
    let other = stage.another_queue();
    let queues = [stage.queue().clone(), other.queue().clone()];
    let subscription = stage.driver().subscribe(&queues).await.expect("subscribed");
    let limit = limited(1, RateLimit::per_minute(1));
    stage.push_plain(2).await;
    stage.take_as(&*subscription, 1, limit).await;
    assert_eq!(subscription.reserve(stage.queue(), limit).await.expect("reserved").len(), 0);
    let jobs = other.push_plain(1).await;
    let named = subscription.ready(NOT_LATER).await.expect("ready answers");
    assert!(named.contains(other.queue()), "the other queue was not named");
    assert_eq!(ids(&other.take_as(&*subscription, 1, limit).await), job_ids(&jobs));
}

/// The limit binds those that name one; takes without one are neither held back nor counted.
pub async fn reserve_without_a_limit_is_not_bound_by_one(stage: Stage) {
    if !is_promised(&stage).await {
        return;
    }
    let subscription = stage.subscribe().await;
    let limit = limited(1, RateLimit::per_minute(2));
    stage.push_plain(5).await;
    stage.hold(&*subscription, 2).await;
    stage.take_as(&*subscription, 1, limit).await;
    stage.hold(&*subscription, 1).await;
    stage.take_as(&*subscription, 1, limit).await;
}

/// Each call is judged by the limit that it names, against all takes that named one.
pub async fn each_call_is_judged_by_its_own_limit(stage: Stage) {
    if !is_promised(&stage).await {
        return;
    }
    let subscription = stage.subscribe().await;
    stage.push_plain(5).await;
    stage.take_as(&*subscription, 2, limited(2, RateLimit::per_minute(2))).await;
    let higher = limited(5, RateLimit::per_minute(3));
    assert_eq!(whatever_comes(&stage, &*subscription, higher).await, 1);
}

/// One job that was taken, some time between these moments.
#[derive(Debug, Clone, Copy)]
struct Take {
    began: Instant,
    ended: Instant,
}

/// Takes as much as is allowed for a while, up to `max_jobs` a call.
async fn takes(stage: &Stage, limit: RateLimit, max_jobs: usize, span: Duration) -> Vec<Take> {
    let subscription = stage.subscribe().await;
    let deadline = Instant::now() + span;
    let mut takes = Vec::new();
    while Instant::now() < deadline {
        let began = Instant::now();
        let taken = subscription.reserve(stage.queue(), limited(max_jobs, limit)).await.expect("reserved");
        takes.extend(taken.iter().map(|_| Take { began, ended: Instant::now() }));
        if taken.is_empty() {
            // Asks more often than a permit comes free: the limit does not rest on the taker's patience.
            subscription.ready(Duration::from_millis(20)).await.expect("ready answers");
        }
    }
    takes
}

fn limited(max_jobs: usize, limit: RateLimit) -> Reserve {
    Reserve::new(max_jobs).lease(LONG_LEASE).rate_limit(limit)
}

/// How many jobs come in a while.
async fn whatever_comes(stage: &Stage, subscription: &dyn Subscription, request: Reserve) -> usize {
    let deadline = Instant::now() + A_WHILE;
    let mut count = 0;
    while Instant::now() < deadline {
        count += subscription.reserve(stage.queue(), request).await.expect("reserved").len();
        let left = deadline.saturating_duration_since(Instant::now());
        subscription.ready(left).await.expect("ready answers");
    }
    count
}

/// Whether rate limits are promised; if not, that a reserve which names one is refused is asserted.
async fn is_promised(stage: &Stage) -> bool {
    let is_promised = stage.capabilities().rate_limit.is_yes();
    if !is_promised {
        let request = Reserve::new(1).rate_limit(RateLimit::per_second(1));
        let refused = stage.manager().reserve(stage.queue().as_str(), request).await;
        assert!(matches!(refused.as_ref().map_err(Error::kind), Err(ErrorKind::Unsupported { .. })));
    }
    is_promised
}
