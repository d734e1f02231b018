//! Refusal: what is wrong or not promised is refused in a typed way, before anything is sent.

use std::{fmt::Debug, future::IntoFuture, time::Duration};

use serde::{Serialize, Serializer, ser::Error as _};
use stream_core::{
    Backoff, Counts, DeadLetterId, Draft, Error, ErrorKind, Fence, GROUP_BYTES_MAX, HEADERS_BYTES_MAX,
    LONGEST, Listing, NAME_BYTES_MAX, Push, ROUTE_BYTES_MAX, RateLimit, Reserve, Result,
    UNIQUE_KEY_BYTES_MAX,
};

use crate::Stage;

const MS: Duration = Duration::from_millis(1);

/// A queue name that is not legal is refused by every call.
pub async fn bad_queue_name_is_refused(stage: Stage) {
    let queue = stage.manager();
    for name in ["", "no spaces", "no.dots", "{braces}", "käse", "nul\0", &"x".repeat(49)] {
        assert_kind(&queue.push(draft().on_queue(name)).await, &ErrorKind::Config);
        assert_kind(&queue.pop(name).await, &ErrorKind::Config);
        assert_kind(&queue.depth(name).await, &ErrorKind::Config);
        assert_kind(&queue.size(name).await, &ErrorKind::Config);
        assert_kind(&queue.clear(name).await, &ErrorKind::Config);
        assert_kind(&queue.dead_letters(name).count().await, &ErrorKind::Config);
    }
}

/// A connection that was not given is refused, and the message lists those that were.
pub async fn unknown_connection_is_refused(stage: Stage) {
    let queue = stage.manager().with_connection("second", stage.driver().clone());
    let push = queue.push(draft().on_queue(stage.queue()).on_connection("third")).await;
    assert_kind(&push, &ErrorKind::Config);
    let error = queue.connection("third").map(drop).expect_err("it is unknown");
    assert!(error.to_string().contains("default, second"), "{error}");
    queue.connection("second").expect("it is known");
    stage.assert_empty(&*stage.subscribe().await).await;
}

/// A connection that was named twice is refused by whatever is called first.
pub async fn connection_named_twice_is_refused(stage: Stage) {
    let queue = stage.manager().with_connection("default", stage.driver().clone());
    assert_kind(&queue.push(draft().on_queue(stage.queue())).await, &ErrorKind::Config);
    assert_kind(&queue.pop(stage.queue().as_str()).await, &ErrorKind::Config);
    assert_kind(&queue.check().await, &ErrorKind::Config);
}

/// A duration that cannot be meant is refused, neither cut nor ignored.
pub async fn absurd_durations_of_a_job_are_refused(stage: Stage) {
    let over = LONGEST + Duration::from_nanos(1);
    let jobs = [
        draft().delay(over),
        draft().delay(Duration::MAX),
        draft().timeout(Duration::ZERO),
        draft().timeout(over),
        draft().backoff(Backoff::fixed(over).up_to(over)),
        draft().backoff(Backoff::exponential(MS, 0.5)),
        draft().backoff(Backoff::exponential(MS, f64::NAN)),
        draft().backoff(Backoff::fixed(MS).jitter(2.0)),
        draft().backoff(Backoff::list([])),
    ];
    assert_each_refused(&stage, jobs, &ErrorKind::InvalidJob).await;
}

/// A reserve that asks for nothing, or for no time, is refused and takes nothing.
pub async fn absurd_reserves_are_refused(stage: Stage) {
    stage.push_plain(1).await;
    let one = Reserve::new(1);
    let over = LONGEST + Duration::from_secs(1);
    let requests = [
        Reserve::new(0),
        one.lease(Duration::ZERO),
        one.lease(over),
        one.lease(Duration::MAX),
        one.rate_limit(RateLimit::per_second(0)),
        one.rate_limit(RateLimit::new(1, Duration::ZERO)),
        one.rate_limit(RateLimit::new(1, Duration::MAX)),
    ];
    let queue = stage.manager();
    for request in requests {
        let answer = queue.reserve(stage.queue().as_str(), request).await;
        assert_eq!(
            answer.as_ref().map_err(Error::kind).map(Vec::len),
            Err(&ErrorKind::Config),
            "{request:?}"
        );
    }
    let delivery = stage.hold_one(&*stage.subscribe().await).await;
    stage.assert_counts(&delivery, 1, 0);
}

/// A lease that the connection cannot keep is refused, by reserve and by extend.
pub async fn lease_that_is_not_promised_is_refused(stage: Stage) {
    let queue = stage.manager();
    stage.push_plain(1).await;
    let job = queue.pop(stage.queue().as_str()).await.expect("popped").expect("a job");
    assert_kind(&job.extend(Duration::ZERO).await, &ErrorKind::Config);
    let lease = stage.capabilities().lease;
    let shorter = lease.grain().checked_sub(Duration::from_nanos(1)).filter(|it| !it.is_zero());
    for refused in shorter.into_iter().chain(lease.max().map(|max| max + MS)) {
        let request = Reserve::new(1).lease(refused);
        assert_unsupported(&queue.reserve(stage.queue().as_str(), request).await);
        assert_unsupported(&job.extend(refused).await);
    }
    job.complete().await.expect("completed");
}

/// A name, key or header beyond its limit is refused.
pub async fn names_keys_and_headers_beyond_their_limits_are_refused(stage: Stage) {
    let long = |bytes| "x".repeat(bytes + 1);
    let jobs = [
        Draft::raw("", vec![]),
        Draft::raw(&long(NAME_BYTES_MAX), vec![]),
        draft().group(""),
        draft().group(long(GROUP_BYTES_MAX)),
        draft().unique(""),
        draft().unique(long(UNIQUE_KEY_BYTES_MAX)),
        draft().route(""),
        draft().route(long(ROUTE_BYTES_MAX)),
        draft().header("name", long(HEADERS_BYTES_MAX - "name".len())),
        draft().max_attempts(0),
    ];
    assert_each_refused(&stage, jobs, &ErrorKind::InvalidJob).await;
}

/// A job that cannot be serialised is refused, and the error names the job.
pub async fn job_that_cannot_be_serialised_is_refused(stage: Stage) {
    let push = stage.manager().push(Draft::named("broken", &Unserialisable).on_queue(stage.queue())).await;
    let error = push.expect_err("it cannot be serialised");
    assert_eq!(error.kind(), &ErrorKind::InvalidJob);
    assert!(error.to_string().contains("`broken`"), "{error}");
    stage.assert_empty(&*stage.subscribe().await).await;
}

/// What is asked for beyond a promise is refused before anything is sent, what is promised is stored.
pub async fn job_asking_for_what_is_not_promised_is_refused(stage: Stage) {
    let promised = stage.capabilities();
    let (push_delay, retry_delay) = (promised.push_delay.max(), promised.retry_delay.max());
    let backoff = |wait| Backoff::fixed(wait).jitter(0.0).up_to(wait);
    let mut asked = vec![
        (promised.routing.is_yes(), draft().route("route")),
        (promised.groups.is_yes(), draft().group("group")),
        (promised.unique.is_yes(), draft().unique("key")),
        (true, draft().delay(push_delay)),
        (true, draft().backoff(backoff(retry_delay))),
    ];
    if push_delay < LONGEST {
        asked.push((false, draft().delay(push_delay + MS)));
    }
    if retry_delay < LONGEST {
        asked.push((false, draft().backoff(backoff(retry_delay + MS))));
    }
    if let Some(max) = promised.lease.max() {
        asked.push((true, draft().timeout(max)));
        asked.push((false, draft().timeout(max + MS)));
    }
    let queue = stage.manager();
    for (is_promised, draft) in asked {
        let push = queue.push(draft.on_queue(stage.queue())).await;
        if is_promised {
            push.expect("stored");
        } else {
            assert_unsupported(&push);
        }
    }
}

/// The table of capabilities is complete in itself, and the same on every connection.
pub async fn capabilities_are_sane(stage: Stage) {
    let promised = stage.capabilities();
    assert_eq!(promised, stage.elsewhere().await.capabilities(), "two connections promise differently");
    let name = stage.driver().name();
    assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()), "the name is {name:?}");
    assert!(promised.envelope_bytes_max >= 2 * HEADERS_BYTES_MAX, "no room for a payload beside the headers");
    assert!(promised.batch >= 1);
    for delay in [promised.push_delay, promised.retry_delay] {
        assert!(delay.grain() <= delay.max() && delay.max() <= LONGEST, "a delay of {delay}");
    }
    assert!(promised.lease.grain() <= Duration::from_secs(1), "a lease {}", promised.lease);
    assert!(promised.lease.max().is_none_or(|max| max >= Duration::from_secs(60)));
    // Who cannot tell a late outcome cannot tell losses from retries.
    assert!(promised.fence != Fence::BestEffort || promised.counts != Counts::Exact);
    let has_letters = promised.dead_letters != Listing::None;
    assert_eq!(stage.driver().dead_letters().is_some(), has_letters, "the dead letters");
}

/// A store that is as it should be has nothing severe to report.
pub async fn check_of_a_sound_store_finds_nothing_severe(stage: Stage) {
    let findings = stage.driver().check().await.expect("checked");
    assert!(findings.iter().all(|finding| !finding.severe), "{findings:?}");
    assert!(findings.iter().all(|it| !it.what.is_empty() && !it.remedy.is_empty()), "{findings:?}");
}

/// After its end a connection answers every call of a program `Unavailable`.
pub async fn closed_connection_is_unavailable_to_a_program(stage: Stage) {
    let closed = stage.elsewhere().await;
    let queue = closed.manager();
    stage.push_plain(1).await;
    let job = queue.pop(stage.queue().as_str()).await.expect("popped").expect("a job");
    queue.close().await.expect("closed");
    let name = stage.queue().as_str();
    let gone = &ErrorKind::Unavailable;
    assert_kind(&queue.push(draft().on_queue(name)).await, gone);
    assert_kind(&queue.pop(name).await, gone);
    assert_kind(&queue.check().await, gone);
    assert_kind(&job.complete().await, gone);
    assert_kind(&job.extend(Duration::from_secs(1)).await, gone);
    if stage.driver().dead_letters().is_some() {
        let (letters, id) = (queue.dead_letters(name), DeadLetterId::new(*b"any"));
        assert_kind(&letters.retry(&id).await, gone);
        assert_kind(&letters.remove(&id).await, gone);
        assert_kind(&letters.retry_all().await, gone);
        assert_kind(&letters.clear().await, gone);
    }
}

/// Of many jobs pushed at once the wrong ones are named by their place, and the others are stored.
pub async fn push_many_names_the_refused_jobs_by_their_place(stage: Stage) {
    let good = || draft().on_queue(stage.queue());
    let jobs =
        [good(), good().max_attempts(0), good(), draft().on_queue("no name"), good().delay(Duration::MAX)];
    let error = stage.manager().push_many(jobs).await.expect_err("three are refused");
    let failed: Vec<_> = error.failed().map(|(place, error)| (place, error.kind().clone())).collect();
    let expected = [(1, ErrorKind::InvalidJob), (3, ErrorKind::Config), (4, ErrorKind::InvalidJob)];
    assert_eq!(failed, expected);
    stage.hold(&*stage.subscribe().await, 2).await;
}

struct Unserialisable;

impl Serialize for Unserialisable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("it has no form"))
    }
}

fn draft() -> Draft {
    Draft::raw("case", vec![1])
}

fn assert_kind<T: Debug>(answer: &Result<T>, kind: &ErrorKind) {
    let found = answer.as_ref().map_err(Error::kind);
    assert_eq!(found.err(), Some(kind), "{answer:?}");
}

fn assert_unsupported<T: Debug>(answer: &Result<T>) {
    let found = answer.as_ref().map_err(Error::kind);
    assert!(matches!(found, Err(ErrorKind::Unsupported { .. })), "{answer:?}");
}

/// Asserts that each push is refused and that the queue stays empty.
async fn assert_each_refused(stage: &Stage, jobs: impl IntoIterator<Item = Draft>, kind: &ErrorKind) {
    let queue = stage.manager();
    for job in jobs {
        let push: Push = queue.push(job.on_queue(stage.queue()));
        let shown = format!("{push:?}");
        let answer = push.into_future().await;
        assert_eq!(answer.as_ref().map_err(Error::kind), Err(kind), "{shown}");
    }
    stage.assert_empty(&*stage.subscribe().await).await;
}
