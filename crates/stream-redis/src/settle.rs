//! Ending deliveries and moving their leases.

use std::time::Duration;

use bytes::Bytes;
use fred::{interfaces::Resp3Frame as Frame, types::Value};
use stream_core::{Delivery, Outcome, QueueName, Result, Settlement};

use crate::{
    call::{Connection, put_keys},
    error::At,
    keys::Keys,
    receipt::{Lease, MEMBER_BYTES},
    reply::Reply,
    reserve::micros,
    script::{EXTEND, FINISH, SETTLE},
};

/// Deliveries of one call that end as done, or are extended.
const STEP: usize = 500;
/// Deliveries of one call that end in any other way: each is several steps of the server.
const STEP_ANY: usize = 200;

/// A delivery with its place in the batch.
type Item = (usize, Lease);

/// What was answered, by the place in the batch.
struct Answers {
    at: At,
    results: Vec<Option<Result<()>>>,
}

impl Answers {
    fn new(at: At, count: usize) -> Self {
        Self { at, results: vec![None; count] }
    }

    /// Notes what a script said of these.
    fn note(&mut self, items: &[Item], answer: Result<Frame>) {
        let said = match answer {
            Ok(Frame::Number { data, .. }) if usize::try_from(data) == Ok(items.len()) => {
                return items.iter().for_each(|(place, _)| self.results[*place] = Some(Ok(())));
            }
            Ok(frame) => {
                frame.list().filter(|said| said.len() == items.len()).ok_or_else(|| self.at.unreadable())
            }
            Err(error) => Err(error),
        };
        for (index, (place, _)) in items.iter().enumerate() {
            self.results[*place] = Some(match &said {
                Ok(said) if said[index].number() == Some(1) => Ok(()),
                Ok(_) => Err(self.at.lease_lost()),
                Err(error) => Err(error.clone()),
            });
        }
    }

    /// Bytes that no driver has made are the receipt of no delivery.
    fn finish(self) -> Vec<Result<()>> {
        let at = self.at;
        self.results.into_iter().map(|result| result.unwrap_or_else(|| Err(at.lease_lost()))).collect()
    }
}

/// Ends deliveries; answer *i* is for settlement *i*.
pub(crate) async fn settle(
    connection: &Connection,
    queue: &QueueName,
    settlements: &[Settlement<'_>],
) -> Vec<Result<()>> {
    let keys = connection.keys(queue);
    let at = At::writes("settle");
    let mut answers = Answers::new(at, settlements.len());
    let (done, mut others) = sort(settlements);
    for (level, done) in done.iter().enumerate() {
        for items in done.chunks(STEP) {
            let answer = finish(connection, &keys, level, items, at).await;
            answers.note(items, answer);
        }
    }
    put_releases_in_order(settlements, &mut others);
    for items in others.chunks(STEP_ANY) {
        let answer = settle_any(connection, &keys, settlements, items, at).await;
        answers.note(items, answer);
    }
    let all = done.iter().flatten().chain(&others);
    let is_over = |item: &&Item| {
        let answer = answers.results[item.0].as_ref();
        answer.is_some_and(|answer| !matches!(answer, Err(error) if error.kind() != at.lease_lost().kind()))
    };
    connection.ended.note(all.filter(is_over).map(|item| item.1));
    answers.finish()
}

/// The plain successes by their priority, and all others.
fn sort(settlements: &[Settlement<'_>]) -> ([Vec<Item>; 4], Vec<Item>) {
    let (mut done, mut others) = (<[Vec<Item>; 4]>::default(), Vec::new());
    for (place, settlement) in settlements.iter().enumerate() {
        let Some(lease) = Lease::of(settlement.delivery) else { continue };
        // What cannot be read may have a unique key that is to be freed.
        let may_have_key = !matches!(&settlement.delivery.envelope, Ok(job) if job.unique_key.is_none());
        match settlement.outcome {
            Outcome::Done if !may_have_key => done[lease.level()].push((place, lease)),
            _ => others.push((place, lease)),
        }
    }
    (done, others)
}

/// Released jobs go to the front one after the other: the last one first, so that they keep their order.
fn put_releases_in_order(settlements: &[Settlement<'_>], items: &mut [Item]) {
    let is_release = |item: &Item| matches!(settlements[item.0].outcome, Outcome::Release { .. });
    items.sort_by_key(is_release);
    let begin = items.partition_point(|item| !is_release(item));
    items[begin..].reverse();
}

/// What the server knows these leases by.
fn members(items: &[Item]) -> Vec<Value> {
    let mut all = Vec::with_capacity(items.len() * MEMBER_BYTES);
    items.iter().for_each(|(_, lease)| lease.write_member(&mut all));
    let all = Bytes::from(all);
    let member = |index: usize| Value::Bytes(all.slice(index * MEMBER_BYTES..(index + 1) * MEMBER_BYTES));
    (0..items.len()).map(member).collect()
}

async fn finish(connection: &Connection, keys: &Keys, level: usize, items: &[Item], at: At) -> Result<Frame> {
    let members = members(items);
    let arguments = |to: &mut Vec<Value>| {
        put_keys(to, [&keys.jobs, &keys.notes, &keys.leased[level]]);
        to.extend_from_slice(&members);
    };
    connection.run_confirmed(at, keys.slot, &FINISH, arguments).await
}

async fn settle_any(
    connection: &Connection,
    keys: &Keys,
    settlements: &[Settlement<'_>],
    items: &[Item],
    at: At,
) -> Result<Frame> {
    let members = members(items);
    let arguments = |to: &mut Vec<Value>| {
        let common = [&keys.jobs, &keys.notes, &keys.wake, &keys.unique, &keys.claims, &keys.dead];
        put_keys(to, common.into_iter().chain(keys.waiting()));
        for ((place, lease), member) in items.iter().zip(&members) {
            let (outcome, after, error) = words(settlements[*place].outcome);
            let level = Value::Integer(lease.level() as i64);
            let error = Value::Bytes(Bytes::copy_from_slice(error.as_bytes()));
            to.extend([Value::from_static_str(outcome), level, member.clone(), micros(after), error]);
        }
    };
    connection.run_confirmed(at, keys.slot, &SETTLE, arguments).await
}

fn words(outcome: &Outcome) -> (&'static str, Duration, &str) {
    match outcome {
        Outcome::Done => ("done", Duration::ZERO, ""),
        Outcome::Retry { after, error } => ("retry", *after, error),
        Outcome::Bury { error } => ("bury", Duration::ZERO, error),
        Outcome::Release { after } => ("release", *after, ""),
    }
}

/// Makes leases end `lease` from now; answer *i* is for delivery *i*.
pub(crate) async fn extend(
    connection: &Connection,
    queue: &QueueName,
    deliveries: &[&Delivery],
    lease: Duration,
) -> Vec<Result<()>> {
    let keys = connection.keys(queue);
    let at = At::writes("extend");
    let mut answers = Answers::new(at, deliveries.len());
    let mut levels = <[Vec<Item>; 4]>::default();
    for (place, delivery) in deliveries.iter().enumerate() {
        if let Some(lease) = Lease::of(delivery) {
            levels[lease.level()].push((place, lease));
        }
    }
    for (level, items) in levels.iter().enumerate() {
        for items in items.chunks(STEP) {
            let members = members(items);
            let arguments = |to: &mut Vec<Value>| {
                put_keys(to, [&keys.leased[level]]);
                to.push(micros(lease));
                to.extend_from_slice(&members);
            };
            let answer = connection.run(at, keys.slot, &EXTEND, arguments).await;
            answers.note(items, answer);
        }
    }
    let is_over = |item: &&Item| {
        let answer = answers.results[item.0].as_ref();
        answer.is_some_and(|answer| matches!(answer, Err(error) if error.kind() == at.lease_lost().kind()))
    };
    connection.ended.note(levels.iter().flatten().filter(is_over).map(|item| item.1));
    answers.finish()
}
