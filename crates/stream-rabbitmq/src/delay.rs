//! Delays: how a job is steered through the levels of the delay chain.
//!
//! Level *k* is a queue whose messages all expire after 2^k seconds, so that none waits behind a longer one. A job
//! enters at the highest level that its delay needs. At each exchange a header says whether it waits at that level or
//! goes on to the next lower one. Below the lowest level it is due.

use std::time::Duration;

use lapin::types::{AMQPValue, FieldTable, LongString};
use stream_core::LONGEST;

use crate::exchange::Exchange;

/// Says where a due job goes: one of the driver's queues, or a user's exchange.
pub(crate) const TO: &str = "stream-to";
/// The value of [`TO`] for a queue, which is then the routing key.
pub(crate) const TO_QUEUE: &str = "queue";

/// The value of [`TO`] for a user's exchange.
pub(crate) fn to_exchange(exchange: &Exchange) -> String {
    format!("exchange {}", exchange.name)
}

/// Whole seconds, rounded up: never early.
pub(crate) fn seconds(delay: Duration) -> u32 {
    let seconds = delay.as_nanos().div_ceil(1_000_000_000);
    u32::try_from(seconds.min(u128::from(LONGEST.as_secs()))).unwrap_or(u32::MAX)
}

/// The level at which such a delay enters the chain; none for no delay.
pub(crate) fn top_level(seconds: u32) -> Option<u32> {
    seconds.checked_ilog2()
}

/// How long a message waits at a level, in milliseconds, as a queue's argument has it.
pub(crate) fn wait_ms(level: u32) -> i64 {
    1_000 << level
}

/// The header that says whether a job waits at a level.
pub(crate) fn header(level: u32) -> String {
    format!("stream-delay-{level:02}")
}

/// The headers that take a job through the chain and to its end.
pub(crate) fn steer(headers: &mut FieldTable, seconds: u32, to: &str) {
    let levels = top_level(seconds).map_or(0, |top| top + 1);
    for level in 0..levels {
        headers.insert(header(level).into(), AMQPValue::Boolean(seconds >> level & 1 == 1));
    }
    headers.insert(TO.into(), AMQPValue::LongString(LongString::from(to)));
}

#[cfg(test)]
mod tests;
