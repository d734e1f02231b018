//! The identity of a job: a UUIDv7 made by the client.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use crate::{Error, random::random_bits};

/// A UUIDv7 (RFC 9562), known before the job is sent.
///
/// A job's identity is the pair of its queue and this id. Ids made by one process sort in the order
/// in which they were made. An id is unique, but no secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId([u8; 16]);

impl JobId {
    /// Makes a new id from the time and randomness.
    #[allow(clippy::new_without_default, reason = "a fresh id is no default value")]
    pub fn new() -> Self {
        const VERSION: u128 = 7 << 76;
        const VARIANT: u128 = 0b10 << 62;
        let tick = u128::from(next_tick());
        let (ms, part) = (tick >> 12, tick & 0xfff);
        Self((ms << 80 | VERSION | part << 64 | VARIANT | u128::from(random_bits() >> 2)).to_be_bytes())
    }

    /// The id with these sixteen bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Milliseconds since 1970 at which the id was made, by its maker's clock: information only.
    pub(crate) fn made_at_ms(self) -> u64 {
        (u128::from_be_bytes(self.0) >> 80) as u64
    }
}

/// 4096 ticks in a millisecond; never the same twice in a process, nor less than before.
fn next_tick() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64) << 12;
    let next = |last: u64| now.max(last + 1);
    let update = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
    update.map_or(now, next)
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u128::from_be_bytes(self.0);
        let part = |shift: u32| (id >> shift) & 0xffff;
        write!(f, "{:08x}-{:04x}-{:04x}-{:04x}-", id >> 96, part(80), part(64), part(48))?;
        write!(f, "{:012x}", id & 0xffff_ffff_ffff)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = Error;

    /// Reads 32 hexadecimal digits; hyphens are passed over.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.replace('-', "");
        let id = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
        id.map(|id| Self(id.to_be_bytes())).ok_or_else(|| Error::config("job id", "it must be a UUID"))
    }
}

#[cfg(test)]
mod tests;
