//! Envelope: whatever its bytes, a store keeps them.

use std::{slice, time::Duration};

use stream_core::{
    Backoff, Codec, Delivery, Draft, ERROR_BYTES_MAX, Envelope, Error, ErrorKind, HEADERS_BYTES_MAX, JobId,
    NewJob, Outcome, Priority, Subscription, Undecodable,
};

use crate::{
    Stage,
    by_hand::{Field, binary, map, number, text},
    stage::{bury, ids, job_ids, plain_job, release_now, retry_now},
};

/// Every field of an envelope survives the store.
pub async fn every_field_of_an_envelope_survives_the_store(stage: Stage) {
    let mut job = full_job();
    if stage.capabilities().groups.is_yes() {
        job.envelope.group = Some("group".into());
    }
    if stage.capabilities().unique.is_yes() {
        job.envelope.unique_key = Some("unique".into());
    }
    stage.push(slice::from_ref(&job)).await;
    assert_eq!(stage.hold_one(&*stage.subscribe().await).await.envelope, Ok(job.envelope));
}

/// Fields that this version does not know survive every way that a job can take, byte by byte.
pub async fn unknown_fields_survive_push_retry_bury_retry_delivery(stage: Stage) {
    let mut fields = minimal_fields(JobId::new());
    fields.push(("x-colour", text("blue")));
    fields.push(("x-later", map(&[("nested", vec![0x93, 0x01, 0xc0, 0xc3])])));
    let envelope = Envelope::from_bytes(map(&fields)).expect("an envelope");
    let bytes = envelope.to_bytes();
    assert!(contains(&bytes, b"nested\x93\x01\xc0\xc3"), "the unknown field is not written again");

    let subscription = stage.subscribe().await;
    stage.push(&[NewJob::new(envelope)]).await;
    let delivery = through_retry_release_and_burial(&stage, &*subscription).await;
    assert_eq!(delivery.envelope.expect("an envelope").to_bytes(), bytes);
}

/// Another producer's envelope is delivered, whatever the order of its fields.
pub async fn envelope_of_another_producer_is_delivered(stage: Stage) {
    let mut fields = minimal_fields(JobId::new());
    fields.push(("priority", text("high")));
    fields.push(("max_attempts", number(3)));
    fields.reverse();
    let bytes = map(&fields);
    stage.inject(bytes.clone()).await;
    let delivery = stage.hold_one(&*stage.subscribe().await).await;
    assert_eq!(delivery.envelope, Ok(Envelope::from_bytes(bytes).expect("an envelope")));
}

/// Bytes that are no envelope are delivered as such, not dropped.
pub async fn undecodable_bytes_are_delivered_not_dropped(stage: Stage) {
    stage.inject(b"no envelope".to_vec()).await;
    let delivery = stage.hold_one(&*stage.subscribe().await).await;
    assert_eq!(undecodable(&delivery).bytes, b"no envelope");
    stage.assert_counts(&delivery, 1, 0);
}

/// Bytes that are no envelope hold back no job beside them.
pub async fn undecodable_bytes_hold_back_no_job_beside_them(stage: Stage) {
    let mut jobs = stage.push_plain(2).await;
    stage.inject(vec![0xc1; 30]).await;
    jobs.extend(stage.push_plain(2).await);
    let subscription = stage.subscribe().await;
    let taken = stage.hold(&*subscription, 5).await;
    let good: Vec<_> = taken.iter().filter(|delivery| delivery.envelope.is_ok()).cloned().collect();
    assert_eq!(ids(&good), job_ids(&jobs));
    stage.finish(&taken).await;
    stage.assert_empty(&*subscription).await;
}

/// Bytes that are no envelope are each kept, though they be equal.
pub async fn equal_undecodable_bytes_are_each_delivered(stage: Stage) {
    for _ in 0..3 {
        stage.inject(b"the same".to_vec()).await;
    }
    let subscription = stage.subscribe().await;
    let taken = stage.hold(&*subscription, 3).await;
    assert!(taken.iter().all(|delivery| undecodable(delivery).bytes == b"the same"));
    stage.finish(&taken).await;
    stage.assert_empty(&*subscription).await;
}

/// The store keeps undecodable bytes untouched through retry, release, burial and dead-letter retry.
pub async fn undecodable_bytes_survive_retry_release_and_burial(stage: Stage) {
    let bytes: Vec<u8> = (0..=255).rev().collect();
    stage.inject(bytes.clone()).await;
    let subscription = stage.subscribe().await;
    let delivery = through_retry_release_and_burial(&stage, &*subscription).await;
    assert_eq!(undecodable(&delivery).bytes, bytes);
    stage.settle(&delivery, Outcome::Done).await;
    stage.assert_empty(&*subscription).await;
}

/// Dead letters show bytes that are no envelope, untouched and with the reason of the burial.
pub async fn undecodable_bytes_are_listed_in_the_dead_letters(stage: Stage) {
    stage.inject(b"no envelope".to_vec()).await;
    let delivery = stage.hold_one(&*stage.subscribe().await).await;
    stage.settle(&delivery, Outcome::Bury { error: "undecodable".into() }).await;
    if stage.driver().dead_letters().is_none() {
        return assert_eq!(stage.capabilities().dead_letters, stream_core::Listing::None);
    }
    let letter = stage.only_letter().await;
    assert_eq!(letter.envelope.expect_err("no envelope").bytes, b"no envelope");
    assert_eq!(letter.error, "undecodable");
}

/// An envelope of a newer version is delivered with its id, and its bytes are kept.
pub async fn envelope_of_a_newer_version_is_kept_with_its_id(stage: Stage) {
    let id = JobId::new();
    let mut fields = minimal_fields(id);
    fields[0] = ("v", number(2));
    fields[3] = ("payload", text("something else in version 2"));
    let bytes = map(&fields);
    stage.inject(bytes.clone()).await;
    let subscription = stage.subscribe().await;
    let delivery = through_retry_release_and_burial(&stage, &*subscription).await;
    let found = undecodable(&delivery);
    assert_eq!((found.id, &found.bytes), (Some(id), &bytes));
}

/// What cannot be run is buried by who takes by hand, and the jobs beside it are returned.
pub async fn undecodable_bytes_are_buried_by_pop(stage: Stage) {
    stage.inject(b"no envelope".to_vec()).await;
    let jobs = stage.push_plain(1).await;
    let queue = stage.manager();
    let popped = queue.pop(stage.queue().as_str()).await.expect("popped").expect("a job");
    assert_eq!(popped.envelope().id, jobs[0].envelope.id);
    popped.complete().await.expect("completed");
    // Where no order is promised the job may have come first, and the bytes are met by the next pop.
    assert!(queue.pop(stage.queue().as_str()).await.expect("popped").is_none(), "a job came that is none");
    stage.assert_none_waits(&*stage.subscribe().await).await;
    stage.assert_letters(1).await;
}

/// An envelope of exactly the maximum can be settled in every way, with errors of any length.
pub async fn envelope_of_exactly_the_maximum_survives_ten_retries_and_a_burial(stage: Stage) {
    let job = job_of(&stage, largest(&stage));
    stage.push(slice::from_ref(&job)).await;
    let subscription = stage.subscribe().await;
    let error = "e".repeat(ERROR_BYTES_MAX);
    for _ in 0..10 {
        let delivery = stage.hold_one(&*subscription).await;
        stage.settle(&delivery, Outcome::Retry { after: Duration::ZERO, error: error.clone() }).await;
    }
    let delivery = stage.hold_one(&*subscription).await;
    stage.settle(&delivery, Outcome::Bury { error }).await;
    let Some(dead) = stage.driver().dead_letters() else { return };
    assert_eq!(dead.retry_all(stage.queue()).await.expect("retried"), 1);
    let delivery = stage.hold_one(&*subscription).await;
    assert!(delivery.envelope.as_ref() == Ok(&job.envelope), "the envelope was changed");
    stage.settle(&delivery, Outcome::Done).await;
    stage.assert_empty(&*subscription).await;
}

/// One byte more than the maximum is refused, before anything is sent.
pub async fn too_large_envelope_is_refused_before_anything_is_sent(stage: Stage) {
    let mut capabilities = stage.capabilities();
    capabilities.envelope_bytes_max = largest(&stage);
    let job = job_of(&stage, capabilities.envelope_bytes_max + 1);
    let refused = capabilities.allows(&job).expect_err("it is refused");
    assert_eq!(refused.kind(), &ErrorKind::InvalidJob);
    let max = stage.capabilities().envelope_bytes_max;
    // A store without a limit of its own may promise more than a test can hold.
    if max <= 64 << 20 {
        let draft = Draft::raw("large", vec![0; max]).on_queue(stage.queue());
        let answer = stage.manager().push(draft).await;
        assert_eq!(answer.as_ref().map_err(Error::kind), Err(&ErrorKind::InvalidJob));
    }
    stage.assert_empty(&*stage.subscribe().await).await;
}

/// A batch may be larger than what the store takes in one request.
pub async fn batch_of_large_envelopes_is_split_and_stored(stage: Stage) {
    let size = (largest(&stage) / 2).min(512 * 1024);
    let jobs: Vec<_> = (0..8).map(|_| job_of(&stage, size)).collect();
    stage.push(&jobs).await;
    let taken = stage.hold(&*stage.subscribe().await, 8).await;
    assert_eq!(ids(&taken), job_ids(&jobs));
}

/// Queues whose names differ a little are different queues.
pub async fn similar_queue_names_do_not_collide(stage: Stage) {
    let base = stage.queue().as_str();
    let long = format!("{base:x<48}");
    let mut names = vec![base.to_owned(), base.to_uppercase(), long[..47].to_owned(), long];
    names
        .extend(["-dead", "_dead", "-low", "_high", "-delayed", "-0", "_"].map(|end| format!("{base}{end}")));
    let stages: Vec<_> = names.iter().map(|name| stage.on(name.parse().expect("legal"))).collect();
    for stage in &stages {
        let mut jobs = Priority::ALL.map(|priority| named_after(stage, priority));
        // One of them ends in the dead letters.
        jobs[0].envelope.headers.insert("fate".into(), "bury".into());
        stage.push(&jobs).await;
    }
    for stage in &stages {
        let subscription = stage.subscribe().await;
        for delivery in stage.hold(&*subscription, 4).await {
            let envelope = delivery.envelope.as_ref().expect("an envelope");
            assert_eq!(envelope.name, stage.queue().as_str(), "a job of another queue");
            let is_to_be_buried = envelope.headers.contains_key("fate");
            stage.settle(&delivery, if is_to_be_buried { bury() } else { Outcome::Done }).await;
        }
        stage.assert_none_waits(&*subscription).await;
    }
    for stage in stages.iter().filter(|stage| stage.driver().dead_letters().is_some()) {
        let letters = stage.letters(1).await;
        let names: Vec<_> =
            letters.iter().map(|it| it.envelope.as_ref().expect("an envelope").name.as_ref()).collect();
        assert_eq!(names, [stage.queue().as_str()]);
    }
}

/// A job with every field that is kept everywhere.
fn full_job() -> NewJob {
    let mut job = plain_job();
    let envelope = &mut job.envelope;
    envelope.name = "käse".into();
    envelope.payload = (0..=255).collect();
    envelope.codec = Codec::Json;
    envelope.priority = Priority::Low;
    envelope.max_attempts = 7;
    envelope.backoff =
        Backoff::list([1, 5, 30].map(Duration::from_secs)).jitter(0.5).up_to(Duration::from_secs(60));
    envelope.timeout = Some(Duration::from_secs(20));
    envelope.headers.insert("traceparent".into(), "00-4bf92f3577b34da6-00f067aa0ba902b7-01".into());
    envelope.headers.insert("empty".into(), String::new());
    job
}

/// The fields without which bytes are no envelope: `v`, `id`, `name`, `payload`.
fn minimal_fields(id: JobId) -> Vec<Field> {
    vec![("v", number(1)), ("id", binary(id.as_bytes())), ("name", text("case")), ("payload", binary(b"x"))]
}

fn named_after(stage: &Stage, priority: Priority) -> NewJob {
    let mut job = plain_job();
    job.envelope.name = stage.queue().to_string().into();
    job.envelope.priority = priority;
    job
}

/// The largest envelope of the connection, or four mebibytes if that is less.
fn largest(stage: &Stage) -> usize {
    stage.capabilities().envelope_bytes_max.min(4 << 20)
}

/// A job whose envelope has exactly `size` bytes, with as many headers as are allowed.
fn job_of(stage: &Stage, size: usize) -> NewJob {
    let mut job = plain_job();
    let header = "h".repeat(HEADERS_BYTES_MAX - "header".len());
    job.envelope.headers.insert("header".into(), header);
    // Long enough that the length of the payload's length no longer changes.
    job.envelope.payload = vec![b'p'; 1 << 16];
    let rest = job.envelope.encoded_len() - job.envelope.payload.len();
    job.envelope.payload = vec![b'p'; size - rest];
    assert_eq!(job.envelope.encoded_len(), size, "of at most {:?}", stage.capabilities().envelope_bytes_max);
    job
}

fn undecodable(delivery: &Delivery) -> &Undecodable {
    delivery.envelope.as_ref().expect_err("no envelope")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Takes the job after it was retried, released, buried and retried from the dead letters.
async fn through_retry_release_and_burial(stage: &Stage, subscription: &dyn Subscription) -> Delivery {
    for outcome in [retry_now(), release_now(), bury()] {
        let is_burial = matches!(outcome, Outcome::Bury { .. });
        if is_burial && stage.driver().dead_letters().is_none() {
            break;
        }
        let delivery = stage.hold_one(subscription).await;
        stage.settle(&delivery, outcome).await;
    }
    if let Some(dead) = stage.driver().dead_letters() {
        assert_eq!(dead.retry_all(stage.queue()).await.expect("retried"), 1);
    }
    stage.hold_one(subscription).await
}
