//! The dead letters: paged, revived and removed by the numbers of their burials.

use std::sync::Arc;

use bytes::Bytes;
use fred::{interfaces::Resp3Frame as Frame, types::Value};
use stream_core::{DeadLetter, DeadLetterId, DeadLetterStore, JobId, QueueName, Result, async_trait};

use crate::{
    call::{Connection, put_keys},
    error::At,
    keys::Keys,
    record::{Notes, envelope},
    reply::Reply,
    script::{DEPTH, LAST_LETTER, LETTERS, REMOVE, REVIVE},
};

/// Letters of one call of `retry_all` and `clear`: short enough not to keep others waiting.
const STEP: i64 = 250;
/// Letters of one call of `list`: each brings its bytes.
const PAGE: usize = 100;

/// The dead letters, as one connection sees them.
#[derive(Clone)]
pub(crate) struct RedisDeadLetters {
    connection: Arc<Connection>,
}

/// What is done with letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Revive,
    Remove,
}

/// A burial: its number, and the job that was buried.
struct Burial {
    number: i64,
    id: [u8; 16],
}

impl Burial {
    /// None for bytes that this driver did not make.
    fn read(id: &DeadLetterId) -> Option<Self> {
        let (number, id) = id.as_bytes().split_at_checked(8)?;
        let number = i64::from_be_bytes(number.try_into().ok()?);
        Some(Self { number, id: id.try_into().ok()? })
    }

    fn to_id(&self) -> DeadLetterId {
        let mut bytes = self.number.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.id);
        DeadLetterId::new(bytes)
    }
}

/// What a step is about: burials in this range, at most so many, perhaps of one job only.
struct Range {
    min: Value,
    max: i64,
    most: i64,
    id: Bytes,
}

impl RedisDeadLetters {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    async fn one(&self, verb: Verb, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.connection.link.ensure_open(verb.at())?;
        let Some(burial) = Burial::read(id) else { return Ok(false) };
        let range = Range {
            min: Value::Integer(burial.number),
            max: burial.number,
            most: 1,
            id: Bytes::copy_from_slice(&burial.id),
        };
        Ok(self.step(verb, &self.connection.keys(queue), &range).await?.0 == 1)
    }

    /// Goes over the letters that there are now; says how many went.
    async fn all(&self, verb: Verb, queue: &QueueName) -> Result<u64> {
        let keys = self.connection.keys(queue);
        let arguments = |to: &mut Vec<Value>| put_keys(to, [&keys.dead]);
        let frame = self.connection.run(verb.at(), keys.slot, &LAST_LETTER, arguments).await?;
        let Some(max) = frame.number() else { return Ok(0) };
        let (mut min, mut went) = (Value::from_static_str("-inf"), 0);
        loop {
            let range = Range { min, max, most: STEP, id: Bytes::new() };
            let (count, last) = self.step(verb, &keys, &range).await?;
            went += count;
            match last {
                Some(last) if last < max => min = Value::from(format!("({last}")),
                _ => return Ok(went),
            }
        }
    }

    async fn step(&self, verb: Verb, keys: &Keys, range: &Range) -> Result<(u64, Option<i64>)> {
        let script = match verb {
            Verb::Revive => &REVIVE,
            Verb::Remove => &REMOVE,
        };
        let arguments = |to: &mut Vec<Value>| {
            match verb {
                Verb::Revive => {
                    let common =
                        [&keys.jobs, &keys.notes, &keys.wake, &keys.unique, &keys.claims, &keys.dead];
                    put_keys(to, common.into_iter().chain(&keys.ready));
                }
                Verb::Remove => put_keys(to, [&keys.jobs, &keys.notes, &keys.claims, &keys.dead]),
            }
            to.extend([
                range.min.clone(),
                range.max.into(),
                range.most.into(),
                Value::Bytes(range.id.clone()),
            ]);
        };
        let at = verb.at();
        let frame = self.connection.run_confirmed(at, keys.slot, script, arguments).await?;
        let numbers = frame.list().ok_or_else(|| at.unreadable())?;
        let count = numbers.first().and_then(Reply::number).ok_or_else(|| at.unreadable())?;
        Ok((count.unsigned_abs(), numbers.get(1).and_then(Reply::number)))
    }

    async fn page(&self, keys: &Keys, after: i64, most: usize) -> Result<Vec<DeadLetter>> {
        let at = At::reads("list dead letters");
        let arguments = |to: &mut Vec<Value>| {
            put_keys(to, [&keys.jobs, &keys.notes, &keys.dead]);
            to.extend([Value::Integer(after), Value::Integer(most as i64)]);
        };
        let frame = self.connection.run(at, keys.slot, &LETTERS, arguments).await?;
        letters(frame).ok_or_else(|| at.unreadable())
    }
}

impl Verb {
    fn at(self) -> At {
        At::writes(match self {
            Self::Revive => "retry dead letters",
            Self::Remove => "remove dead letters",
        })
    }
}

fn letters(frame: Frame) -> Option<Vec<DeadLetter>> {
    let [_, found, jobs, notes] = frame.list()?.try_into().ok()?;
    let mut found = found.list()?.into_iter();
    let mut letters = Vec::new();
    for (job, notes) in jobs.list()?.into_iter().zip(notes.list()?) {
        let member = found.next()?.bytes()?;
        let id: [u8; 16] = member.get(1..)?.try_into().ok()?;
        let burial = Burial { number: found.next()?.number()?, id };
        // A job that was removed by hand leaves an empty letter, which can be removed.
        let bytes = job.bytes().unwrap_or_default();
        let notes = Notes::read(notes.bytes());
        let envelope = envelope(JobId::from_bytes(id), &bytes);
        let mut letter = DeadLetter::new(burial.to_id(), envelope, notes.error.unwrap_or_default());
        letter.attempt = notes.attempts.saturating_add(1);
        letter.lost = notes.lost;
        letters.push(letter);
    }
    Some(letters)
}

#[async_trait]
impl DeadLetterStore for RedisDeadLetters {
    async fn list(
        &self,
        queue: &QueueName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let at = At::reads("list dead letters");
        self.connection.link.ensure_open(at)?;
        let foreign = || at.config("the cursor is no dead letter id of this driver");
        let after = after.map(|id| Burial::read(id).ok_or_else(foreign)).transpose()?;
        let mut after = after.map_or(0, |burial| burial.number);
        let keys = self.connection.keys(queue);
        let mut letters = Vec::new();
        while letters.len() < limit {
            let most = PAGE.min(limit - letters.len());
            let page = self.page(&keys, after, most).await?;
            let is_last = page.len() < most;
            letters.extend(page);
            let last = letters.last().and_then(|letter| Burial::read(&letter.id));
            match last {
                Some(last) if !is_last => after = last.number,
                _ => break,
            }
        }
        Ok(letters)
    }

    async fn retry(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.one(Verb::Revive, queue, id).await
    }

    async fn retry_all(&self, queue: &QueueName) -> Result<u64> {
        self.all(Verb::Revive, queue).await
    }

    async fn remove(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.one(Verb::Remove, queue, id).await
    }

    async fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.all(Verb::Remove, queue).await
    }

    async fn count(&self, queue: &QueueName) -> Result<u64> {
        let at = At::reads("count dead letters");
        let keys = self.connection.keys(queue);
        let arguments = |to: &mut Vec<Value>| put_keys(to, keys.waiting().chain([&keys.dead]));
        let frame = self.connection.run(at, keys.slot, &DEPTH, arguments).await?;
        let dead = frame.list().and_then(|counts| counts.get(3)?.number());
        dead.map(i64::unsigned_abs).ok_or_else(|| at.unreadable())
    }
}
