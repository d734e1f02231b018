//! Taking jobs: as many calls of the script as it takes.

use std::{iter::repeat_n, time::Duration};

use bytes::Bytes;
use fred::{interfaces::Resp3Frame as Frame, types::Value};
use stream_core::{Delivery, JobId, RateLimit, Reserve, Result};

use crate::{
    call::{Connection, put_keys},
    error::At,
    keys::Keys,
    receipt::{Lease, Token},
    record::{Notes, envelope},
    reply::Reply,
    script::{RESERVE, RESERVE_LIMITED},
};

/// Jobs of one call: the server does nothing else meanwhile.
const STEP: usize = 250;

/// What a reserve came to.
pub(crate) struct Taken {
    pub(crate) deliveries: Vec<Delivery>,
    /// How long until a permit may be free, if there is none now.
    pub(crate) wait: Option<Duration>,
}

pub(crate) async fn reserve(connection: &Connection, keys: &Keys, request: Reserve) -> Result<Taken> {
    let at = At::writes("reserve");
    let token = Token::new();
    let mut taken = Taken { deliveries: Vec::new(), wait: None };
    loop {
        let wanted = (request.max_jobs - taken.deliveries.len()).min(STEP);
        match step(connection, keys, &request, wanted, token, at, &mut taken).await {
            Ok(count) if count == wanted && taken.deliveries.len() < request.max_jobs => {}
            Ok(_) => return Ok(taken),
            // What was taken wins over the error.
            Err(_) if !taken.deliveries.is_empty() => return Ok(taken),
            Err(error) => return Err(error),
        }
    }
}

async fn step(
    connection: &Connection,
    keys: &Keys,
    request: &Reserve,
    wanted: usize,
    token: Token,
    at: At,
    taken: &mut Taken,
) -> Result<usize> {
    let script = if request.rate_limit.is_some() { &RESERVE_LIMITED } else { &RESERVE };
    let fence = token.to_bytes();
    let arguments = |to: &mut Vec<Value>| {
        let takes = request.rate_limit.map(|_| &keys.takes);
        let common = [&keys.jobs, &keys.notes, &keys.wake];
        put_keys(to, common.into_iter().chain(keys.waiting()).chain(takes));
        to.extend([Value::Integer(wanted as i64), micros(request.lease), Value::Bytes(fence.clone())]);
        if let Some(RateLimit { limit, window }) = request.rate_limit {
            to.extend([Value::Integer(limit.into()), micros(window)]);
        }
    };
    let frame = connection.run(at, keys.slot, script, arguments).await?;
    read(frame, token, taken).ok_or_else(|| at.unreadable())
}

/// Appends what the script has taken; none if the answer cannot be read.
fn read(frame: Frame, token: Token, taken: &mut Taken) -> Option<usize> {
    if let Some(wait) = frame.number() {
        taken.wait = waited(-wait);
        return Some(0);
    }
    let parts = frame.list()?;
    let length = parts.len().checked_sub(2)?;
    let mut parts = parts.into_iter();
    let counts = u64::try_from(parts.next()?.number()?).ok()?;
    taken.wait = waited(parts.next()?.number()?);
    // The digits to the base 1024, the most urgent first.
    let counts = [30, 20, 10, 0].map(|digit| (counts >> digit & 0x3ff) as usize);
    let count: usize = counts.iter().sum();
    let has_notes = length == 3 * count;
    let levels = counts.into_iter().enumerate().flat_map(|(level, count)| repeat_n(level, count));
    taken.deliveries.reserve(count);
    for level in levels {
        let id: [u8; 16] = parts.next()?.bytes()?[..].try_into().ok()?;
        let job = parts.next()?.bytes()?;
        let notes = if has_notes { parts.next()?.bytes() } else { None };
        taken.deliveries.push(delivery(id, &job, Notes::read(notes), Lease::new(level, id, token)));
    }
    Some(count)
}

fn waited(micros: i64) -> Option<Duration> {
    u64::try_from(micros).ok().filter(|micros| *micros > 0).map(Duration::from_micros)
}

fn delivery(id: [u8; 16], job: &Bytes, notes: Notes, lease: Lease) -> Delivery {
    let mut delivery = Delivery::new(envelope(JobId::from_bytes(id), job), lease.to_receipt());
    delivery.attempt = notes.attempts.saturating_add(1);
    delivery.lost = notes.lost;
    delivery.last_error = notes.error;
    delivery
}

/// Whole microseconds, rounded up: a wait is never shorter than what was asked for.
pub(crate) fn micros(duration: Duration) -> Value {
    Value::Integer(i64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(i64::MAX))
}
