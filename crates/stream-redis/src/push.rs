//! Storing jobs: in chunks that a script takes, each job with its own answer.

use std::{collections::HashSet, ops::Range};

use bytes::Bytes;
use fred::{interfaces::Resp3Frame as Frame, types::Value};
use stream_core::{ErrorKind, JobId, NewJob, Pushed, QueueName, Result};

use crate::{
    call::{Connection, put_keys},
    error::At,
    keys::Keys,
    reply::Reply,
    reserve::micros,
    script::{PUSH, PUSH_ANY},
};

const AT: At = At::writes("push");
/// Jobs of one call: the server does nothing else meanwhile.
pub(crate) const STEP: usize = 500;
/// Bytes of one call; a single larger job is a call of its own.
const BYTES: usize = 4 * 1024 * 1024;

/// Stores jobs; answer *i* is for job *i*.
pub(crate) async fn push(connection: &Connection, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
    let keys = connection.keys(queue);
    let bytes: Vec<Bytes> = jobs.iter().map(|job| Bytes::from(job.envelope.to_bytes())).collect();
    let mut answers: Vec<Result<Pushed>> = Vec::with_capacity(jobs.len());
    for chunk in chunks(&bytes) {
        let count = chunk.len();
        // A server that is away would keep every further chunk waiting as long as this one.
        if let Some(Err(error)) = answers.last()
            && error.is_transient()
        {
            let error = AT.error(ErrorKind::Unavailable);
            let error = error.explained("not sent, since the jobs before it were not answered");
            answers.extend(std::iter::repeat_n(Err(error), count));
            continue;
        }
        match store(connection, &keys, &jobs[chunk.clone()], &bytes[chunk]).await {
            Ok(stored) => answers.extend(stored.into_iter().map(Ok)),
            Err(error) => answers.extend(std::iter::repeat_n(Err(error), count)),
        }
    }
    answers
}

/// Neighbouring jobs, as many as one call takes.
fn chunks(bytes: &[Bytes]) -> Vec<Range<usize>> {
    let (mut chunks, mut begin, mut total) = (Vec::new(), 0, 0);
    for (at, job) in bytes.iter().enumerate() {
        let is_full = at - begin == STEP || total + job.len() > BYTES;
        if is_full && at > begin {
            chunks.push(begin..at);
            (begin, total) = (at, 0);
        }
        total += job.len();
    }
    if begin < bytes.len() {
        chunks.push(begin..bytes.len());
    }
    chunks
}

async fn store(
    connection: &Connection,
    keys: &Keys,
    jobs: &[NewJob],
    bytes: &[Bytes],
) -> Result<Vec<Pushed>> {
    let frame = match level_of_plain(jobs) {
        Some(level) => {
            let arguments = |to: &mut Vec<Value>| {
                put_keys(to, [&keys.jobs, &keys.ready[level], &keys.wake]);
                for (job, bytes) in jobs.iter().zip(bytes) {
                    to.extend([id(job), Value::Bytes(bytes.clone())]);
                }
            };
            connection.run_confirmed(AT, keys.slot, &PUSH, arguments).await?
        }
        None => {
            let arguments = |to: &mut Vec<Value>| {
                let common = [&keys.jobs, &keys.wake, &keys.unique, &keys.claims];
                put_keys(to, common.into_iter().chain(&keys.ready).chain(&keys.delayed));
                for (job, bytes) in jobs.iter().zip(bytes) {
                    let envelope = &job.envelope;
                    let key = envelope.unique_key.as_deref().unwrap_or_default().as_bytes();
                    let level = Value::Integer(envelope.priority.level().into());
                    let key = Value::Bytes(Bytes::copy_from_slice(key));
                    to.extend([id(job), Value::Bytes(bytes.clone()), level, micros(job.delay), key]);
                }
            };
            connection.run_confirmed(AT, keys.slot, &PUSH_ANY, arguments).await?
        }
    };
    read(frame, jobs).ok_or_else(|| AT.unreadable())
}

fn id(job: &NewJob) -> Value {
    Value::Bytes(Bytes::copy_from_slice(job.envelope.id.as_bytes()))
}

/// The priority of jobs of one priority which are due now, have no unique key, and differ in their ids.
fn level_of_plain(jobs: &[NewJob]) -> Option<usize> {
    let priority = jobs.first()?.envelope.priority;
    let is_plain = |job: &NewJob| {
        job.delay.is_zero() && job.envelope.unique_key.is_none() && job.envelope.priority == priority
    };
    (jobs.iter().all(is_plain) && are_distinct(jobs)).then_some(priority.level().into())
}

fn are_distinct(jobs: &[NewJob]) -> bool {
    // Ids of one process rise.
    if jobs.is_sorted_by(|one, next| one.envelope.id < next.envelope.id) {
        return true;
    }
    let ids: HashSet<JobId> = jobs.iter().map(|job| job.envelope.id).collect();
    ids.len() == jobs.len()
}

fn read(frame: Frame, jobs: &[NewJob]) -> Option<Vec<Pushed>> {
    let stored = |job: &NewJob| Pushed::Stored(job.envelope.id);
    if let Frame::Number { .. } = frame {
        return Some(jobs.iter().map(stored).collect());
    }
    let answers = frame.list().filter(|answers| answers.len() == jobs.len())?;
    let answer = |(job, answer): (&NewJob, Frame)| match answer {
        Frame::Number { data: 0, .. } => Some(stored(job)),
        Frame::Number { .. } => Some(Pushed::AlreadyStored(job.envelope.id)),
        other => {
            let holder: [u8; 16] = other.bytes()?[..].try_into().ok()?;
            Some(Pushed::Duplicate(JobId::from_bytes(holder)))
        }
    };
    jobs.iter().zip(answers).map(answer).collect()
}
