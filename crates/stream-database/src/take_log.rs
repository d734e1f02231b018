//! The rate limit of a queue: a log of takes, kept in one row of the store.
//!
//! A token bucket would let twice the limit through in one window; a log does not. All times are
//! microseconds of the store's clock.

use std::time::Duration;

use stream_core::RateLimit;

use crate::fault::{Failure, Fault, Outcome};

/// Takes within a window's hundredth are one entry, so that the log stays short.
const STEPS: u64 = 100;
/// More entries than this are merged, the oldest first: a row must not grow without a limit.
const ENTRIES_MAX: usize = 512;
/// What the bytes begin with; another number is of another version of this code.
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 8 + 8;
const ENTRY_BYTES: usize = 8 + 8 + 4;

/// When jobs of a queue were taken by reserves that named a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TakeLog {
    /// The shortest window that was named: what is merged must be short for it.
    shortest: u64,
    /// The longest window that was named: what is older is of no use.
    longest: u64,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    first: i64,
    /// The time at which all takes of the entry are counted: never too few in a window.
    last: i64,
    taken: u32,
}

impl TakeLog {
    /// Reads what `to_bytes` wrote; no bytes are an empty log.
    pub(crate) fn read(bytes: &[u8]) -> Outcome<Self> {
        if bytes.is_empty() {
            return Ok(Self { shortest: u64::MAX, longest: 0, entries: Vec::new() });
        }
        let unreadable = || Failure::new(Fault::Unexpected, "the log of a rate limit is of another version");
        let (head, entries) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(unreadable)?;
        if head[0] != VERSION || entries.len() % ENTRY_BYTES != 0 {
            return Err(unreadable());
        }
        let entries = entries.chunks_exact(ENTRY_BYTES).map(|entry| Entry {
            first: number(&entry[..8]).cast_signed(),
            last: number(&entry[8..16]).cast_signed(),
            taken: number(&entry[16..]) as u32,
        });
        Ok(Self { shortest: number(&head[1..9]), longest: number(&head[9..]), entries: entries.collect() })
    }

    /// The bytes to be stored.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.entries.len() * ENTRY_BYTES);
        bytes.push(VERSION);
        bytes.extend(self.shortest.to_be_bytes());
        bytes.extend(self.longest.to_be_bytes());
        for entry in &self.entries {
            bytes.extend(entry.first.to_be_bytes());
            bytes.extend(entry.last.to_be_bytes());
            bytes.extend(entry.taken.to_be_bytes());
        }
        bytes
    }

    /// The time of a take: the store's now, but never earlier than what was taken before.
    pub(crate) fn time(&self, now: i64) -> i64 {
        self.entries.last().map_or(now, |entry| entry.last.max(now))
    }

    /// How many more jobs may be taken now under this limit.
    pub(crate) fn permits(&self, limit: RateLimit, now: i64) -> usize {
        let now = self.time(now);
        // A take counts until a whole window has passed since.
        let counts = |entry: &&Entry| later(entry.last, micros(limit.window)) > now;
        let taken: u64 = self.entries.iter().filter(counts).map(|entry| u64::from(entry.taken)).sum();
        usize::try_from(u64::from(limit.limit).saturating_sub(taken)).unwrap_or(usize::MAX)
    }

    /// How long until a permit may be free; none if there is one now.
    pub(crate) fn wait(&self, limit: RateLimit, now: i64) -> Option<Duration> {
        if self.permits(limit, now) > 0 {
            return None;
        }
        let now = self.time(now);
        let mut newer = 0;
        // The newest entry which, with those after it, uses up the limit: when it is gone there is a permit.
        let blocking = self.entries.iter().rev().find(|entry| {
            newer += u64::from(entry.taken);
            newer >= u64::from(limit.limit)
        });
        let free = later(blocking?.last, micros(limit.window));
        Some(Duration::from_micros(free.saturating_sub(now).max(1).unsigned_abs()))
    }

    /// Notes jobs that were taken under a limit.
    pub(crate) fn note(&mut self, taken: usize, limit: RateLimit, now: i64) {
        if taken == 0 {
            return;
        }
        let (now, window) = (self.time(now), micros(limit.window));
        let taken = u32::try_from(taken).unwrap_or(u32::MAX);
        self.shortest = self.shortest.min(window);
        self.longest = self.longest.max(window);
        match self.entries.last_mut() {
            Some(entry) if later(entry.first, self.shortest / STEPS) >= now => {
                entry.last = now;
                entry.taken = entry.taken.saturating_add(taken);
            }
            _ => self.entries.push(Entry { first: now, last: now, taken }),
        }
        let longest = self.longest;
        self.entries.retain(|entry| later(entry.last, longest) > now);
        self.shorten();
    }

    /// Merges the oldest entries in pairs. Each then counts for longer: the limit is kept all the same.
    fn shorten(&mut self) {
        if self.entries.len() <= ENTRIES_MAX {
            return;
        }
        let recent = self.entries.split_off(ENTRIES_MAX / 2);
        let merged = self.entries.chunks(2).map(|pair| Entry {
            first: pair[0].first,
            last: pair[pair.len() - 1].last,
            taken: pair.iter().fold(0, |sum, entry| entry.taken.saturating_add(sum)),
        });
        self.entries = merged.chain(recent).collect();
    }
}

fn later(at: i64, by: u64) -> i64 {
    at.saturating_add_unsigned(by)
}

fn micros(window: Duration) -> u64 {
    u64::try_from(window.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
