//! A UUIDv7, and the randomness in it.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::*;

/// A UUIDv7 (RFC 9562), known before the job is sent.
///
/// Those of one process sort in the order of their making. An id is no secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId([u8; 16]);

impl JobId {
    /// A new id.
    #[expect(clippy::new_without_default)]
    pub fn new() -> Self {
        let [tick, random] = [next_tick(), random_bits()].map(u128::from);
        // Version 7, variant 2.
        let id = tick >> 12 << 80 | 7 << 76 | (tick & 0xfff) << 64 | 2 << 62 | random >> 2;
        Self(id.to_be_bytes())
    }

    /// The id with these sixteen bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn made_at(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis((u128::from_be_bytes(self.0) >> 80) as u64)
    }
}

/// 4096 in a millisecond, each above the one before.
fn next_tick() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64) << 12;
    let next = |last: u64| now.max(last + 1);
    next(LAST.update(Ordering::Relaxed, Ordering::Relaxed, next))
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", u128::from_be_bytes(self.0));
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = Error;

    /// Reads 32 hexadecimal digits, whatever the hyphens.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.replace('-', "");
        // The standard library would read a sign as well.
        let is_id = digits.len() == 32 && !digits.starts_with('+');
        let id = u128::from_str_radix(&digits, 16).ok().filter(|_| is_id);
        id.map(|id| Self(id.to_be_bytes())).ok_or_else(|| Error::config("job id", "it must be a UUID"))
    }
}

/// Not for secrets: from the standard library's hash maps.
pub(crate) fn random_bits() -> u64 {
    RandomState::new().hash_one(())
}

/// In 0..1.
pub(crate) fn random() -> f64 {
    // A float holds 53 bits.
    (random_bits() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests;
