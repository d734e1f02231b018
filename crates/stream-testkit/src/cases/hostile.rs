//! Hostile input: whatever is put in comes out again, and hurts nothing beside it.

use std::{collections::BTreeSet, fmt::Debug, slice, time::Duration};

use stream_core::{
    Delivery, Draft, ERROR_BYTES_MAX, ErrorKind, GROUP_BYTES_MAX, HEADERS_BYTES_MAX, JobError,
    NAME_BYTES_MAX, NewJob, Outcome, RECEIPT_BYTES_MAX, ROUTE_BYTES_MAX, Receipt, Settlement,
    UNIQUE_KEY_BYTES_MAX,
};

use crate::{
    Stage,
    stage::{LONG_LEASE, assert_lease_lost, bury, ids, job_ids, plain_job, release_now, retry_now},
};

/// A payload may be empty.
pub async fn empty_payload_is_kept(stage: Stage) {
    let mut job = plain_job();
    job.envelope.payload.clear();
    comes_back_unchanged(&stage, job).await;
}

/// A payload may have any bytes.
pub async fn payload_of_any_bytes_is_kept(stage: Stage) {
    let mut job = plain_job();
    job.envelope.payload = (0..=255).chain([0; 64]).chain(*b"\r\n\0'\"\\{}%$;--").collect();
    comes_back_unchanged(&stage, job).await;
}

/// A name may have 255 bytes of any text.
pub async fn name_of_255_bytes_is_kept(stage: Stage) {
    for name in ["n".repeat(NAME_BYTES_MAX), text_of(NAME_BYTES_MAX)] {
        let mut job = plain_job();
        job.envelope.name = name.into();
        comes_back_unchanged(&stage, job).await;
    }
}

/// Headers may have exactly 8 KiB together, of any text.
pub async fn headers_of_exactly_8_kib_are_kept(stage: Stage) {
    let mut job = plain_job();
    job.envelope.headers.insert(text_of(100), text_of(HEADERS_BYTES_MAX - 100));
    comes_back_unchanged(&stage, job.clone()).await;
    job.envelope.headers.insert("x".into(), String::new());
    let refused = job.validate().expect_err("one byte too many");
    assert_eq!(refused.kind(), &ErrorKind::InvalidJob);
}

/// Headers may be as many as their bytes allow.
pub async fn thousand_headers_are_kept(stage: Stage) {
    let mut job = plain_job();
    job.envelope.headers = (0..1_000).map(|number| (format!("h{number}"), String::new())).collect();
    comes_back_unchanged(&stage, job).await;
}

/// Keys may be as long as their limit, of any text.
pub async fn keys_of_their_full_length_are_kept(stage: Stage) {
    let mut job = plain_job();
    if stage.capabilities().groups.is_yes() {
        job.envelope.group = Some(text_of(GROUP_BYTES_MAX));
    }
    if stage.capabilities().unique.is_yes() {
        job.envelope.unique_key = Some(text_of(UNIQUE_KEY_BYTES_MAX));
    }
    if stage.capabilities().routing.is_yes() {
        job.route = Some(text_of(ROUTE_BYTES_MAX));
    }
    comes_back_unchanged(&stage, job).await;
}

/// An error may be any text of a thousand bytes, in a retry and in a burial.
pub async fn error_of_any_text_is_kept(stage: Stage) {
    let subscription = stage.subscribe().await;
    let errors = [
        String::new(),
        "nul \0 nul".into(),
        "\u{feff}\u{fffd}\u{10ffff}\u{202e}\r\n\t\u{1b}[31m".into(),
        "'; DROP TABLE jobs; -- {} %s \\u0000".into(),
        "ä".repeat(ERROR_BYTES_MAX / 2),
    ];
    for error in errors {
        stage.push_plain(1).await;
        let first = stage.hold_one(&*subscription).await;
        stage.settle(&first, Outcome::Retry { after: Duration::ZERO, error: error.clone() }).await;
        let second = stage.hold_one(&*subscription).await;
        let is_kept = stage.capabilities().last_error.is_yes();
        assert_eq!(second.last_error.as_ref(), is_kept.then_some(&error));
        stage.settle(&second, Outcome::Bury { error: error.clone() }).await;
        if let Some(dead) = stage.driver().dead_letters() {
            assert_eq!(stage.only_letter().await.error, error);
            assert_eq!(dead.clear(stage.queue()).await.expect("cleared"), 1);
        }
    }
}

/// A receipt of any bytes is answered `LeaseLost`, whatever the outcome, and changes nothing.
pub async fn garbage_receipts_are_answered_lease_lost_and_change_nothing(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(2).await;
    let held = stage.hold_one(&*subscription).await;
    for bytes in garbage() {
        let forged = with_receipt(&held, bytes);
        for outcome in [Outcome::Done, retry_now(), bury(), release_now()] {
            assert_lease_lost(&stage.try_settle(&forged, outcome).await);
        }
        assert_lease_lost(&stage.try_extend(&forged, LONG_LEASE).await);
        stage.driver().is_current(&forged);
    }
    let other = stage.hold_one(&*subscription).await;
    stage.assert_counts(&other, 1, 0);
    stage.finish(&[held, other]).await;
    stage.assert_empty(&*subscription).await;
}

/// A receipt that was cut, lengthened or changed is no receipt.
pub async fn changed_receipts_are_answered_lease_lost_and_change_nothing(stage: Stage) {
    let subscription = stage.subscribe().await;
    stage.push_plain(1).await;
    let held = stage.hold_one(&*subscription).await;
    let receipt = held.receipt.as_bytes();
    let (front, longer) = (&receipt[..receipt.len() - 1], [receipt, b"0"].concat());
    let flipped: Vec<u8> = receipt.iter().map(|byte| !byte).collect();
    for bytes in [front, &receipt[1..], &longer, &flipped] {
        let forged = with_receipt(&held, bytes.to_vec());
        for outcome in [Outcome::Done, retry_now(), bury(), release_now()] {
            assert_lease_lost(&stage.try_settle(&forged, outcome).await);
        }
    }
    stage.settle(&held, Outcome::Done).await;
    stage.assert_empty(&*subscription).await;
}

/// A receipt is of no use in another queue.
pub async fn receipt_of_another_queue_is_answered_lease_lost(stage: Stage) {
    let other = stage.another_queue();
    let (here, there) = (stage.subscribe().await, other.subscribe().await);
    let jobs = stage.push_plain(1).await;
    // The same id waits there, so that a receipt which is good for an id alone is found out.
    other.push(&jobs).await;
    let mine = stage.hold_one(&*here).await;
    for outcome in [Outcome::Done, retry_now(), bury(), release_now()] {
        assert_lease_lost(&other.try_settle(&mine, outcome).await);
    }
    let theirs = other.hold_one(&*there).await;
    assert_lease_lost(&stage.try_settle(&theirs, Outcome::Done).await);
    stage.settle(&mine, Outcome::Done).await;
    other.settle(&theirs, Outcome::Done).await;
}

/// A hundred byte strings at random hurt no good job beside them, and each comes out again.
pub async fn random_bytes_never_hurt_good_jobs_beside_them(stage: Stage) {
    let mut random = Random::new(20);
    let mut injected = BTreeSet::new();
    let mut jobs = Vec::new();
    for round in 0..100 {
        let bytes = random.bytes(1 + round % 64);
        stage.inject(bytes.clone()).await;
        injected.insert(bytes);
        if round % 20 == 0 {
            jobs.extend(stage.push_plain(1).await);
        }
    }
    let subscription = stage.subscribe().await;
    let taken = stage.hold(&*subscription, 100 + jobs.len()).await;
    let (good, bad): (Vec<_>, Vec<_>) = taken.into_iter().partition(|delivery| delivery.envelope.is_ok());
    assert_eq!(ids(&good), job_ids(&jobs));
    let found: BTreeSet<_> =
        bad.iter().map(|it| it.envelope.as_ref().expect_err("no envelope").bytes.clone()).collect();
    assert_eq!(found, injected);
    stage.finish(&[good, bad].concat()).await;
    stage.assert_empty(&*subscription).await;
}

/// `Debug` of no public value shows a payload, a key, a header or a receipt.
pub async fn debug_shows_no_payload_receipt_or_secret(stage: Stage) {
    const SECRET: &str = "hunter2";
    let queue = stage.manager();
    let draft = Draft::named("case", SECRET).on_queue(stage.queue()).header("token", SECRET).max_attempts(1);
    assert_hidden(&draft, SECRET);
    assert_hidden(&draft.clone().route(SECRET).group(SECRET).unique(SECRET), SECRET);
    let push = queue.push(draft);
    assert_hidden(&push, SECRET);
    push.await.expect("stored");

    let popped = queue.pop(stage.queue().as_str()).await.expect("popped").expect("a job");
    assert_hidden(&popped, SECRET);
    assert_hidden(&popped.decode::<u64>().expect_err("it is no number"), SECRET);
    popped.release().await.expect("released");

    let delivery = stage.hold_one(&*stage.subscribe().await).await;
    let receipt = delivery.receipt.as_bytes();
    for shown in [format!("{receipt:?}"), String::from_utf8_lossy(receipt).into_owned()] {
        assert_hidden(&delivery, &shown);
        assert_hidden(&Settlement::new(&delivery, &bury()), &shown);
    }
    let forged = with_receipt(&delivery, SECRET.as_bytes().to_vec());
    assert_hidden(&stage.try_settle(&forged, Outcome::Done).await, SECRET);
    assert_hidden(&delivery, SECRET);
    stage.settle(&delivery, bury()).await;
    assert_hidden(&stage.dead().await, SECRET);
    assert_hidden(&(queue, stage.driver()), SECRET);
}

/// Undecodable bytes are not shown either.
pub async fn debug_shows_nothing_of_undecodable_bytes(stage: Stage) {
    stage.inject(b"hunter2 hunter2 hunter2".to_vec()).await;
    let delivery = stage.hold_one(&*stage.subscribe().await).await;
    assert_hidden(&delivery, "hunter2");
    let reason = delivery.envelope.as_ref().expect_err("no envelope").reason.clone();
    assert_hidden(&JobError::bury(reason), "hunter2");
}

/// Asserts that `Debug` shows the secret neither as text nor as a list of bytes.
fn assert_hidden(value: &impl Debug, secret: &str) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        let is_shown = secret.len() > 3 && shown.contains(secret);
        assert!(!is_shown, "shown: {shown}");
        let list = format!("{:?}", secret.as_bytes());
        assert!(!shown.contains(list.trim_matches(['[', ']'])), "shown as bytes: {shown}");
    }
}

async fn comes_back_unchanged(stage: &Stage, job: NewJob) {
    let subscription = stage.subscribe().await;
    stage.push(slice::from_ref(&job)).await;
    let first = stage.hold_one(&*subscription).await;
    stage.settle(&first, retry_now()).await;
    let second = stage.hold_one(&*subscription).await;
    assert_eq!(second.envelope.as_ref(), Ok(&job.envelope));
    stage.settle(&second, Outcome::Done).await;
}

fn with_receipt(delivery: &Delivery, bytes: Vec<u8>) -> Delivery {
    let mut forged = delivery.clone();
    forged.receipt = Receipt::new(bytes);
    forged
}

/// Byte strings of 0 to 1,024 bytes that no driver issued.
fn garbage() -> Vec<Vec<u8>> {
    let mut random = Random::new(7);
    let lengths = [0, 1, 7, 8, 9, 15, 16, 17, 24, 32, 100, RECEIPT_BYTES_MAX];
    let zeros = lengths.map(|length| vec![0; length]);
    let noise = lengths.map(|length| random.bytes(length));
    let texts = ["not a receipt", "\u{fffd}", "00000000-0000-0000-0000-000000000000"];
    zeros.into_iter().chain(noise).chain(texts.map(|text| text.as_bytes().to_vec())).collect()
}

/// A text of exactly `bytes` bytes with everything in it that may be misread.
fn text_of(bytes: usize) -> String {
    const ODD: &str = "ä\0'\"\\\r\n{}%$;:/?#|\u{fffd}\u{10ffff}";
    let mut text = ODD.repeat(bytes / ODD.len() + 1);
    text.truncate(text.floor_char_boundary(bytes));
    let missing = bytes - text.len();
    text + &"x".repeat(missing)
}

/// Numbers at random that are the same in every run: xorshift64*.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> u8 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    }
}
