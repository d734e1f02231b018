//! The rate limit of a queue: a sliding log of takes.

use std::{collections::VecDeque, time::Duration};

use stream_core::RateLimit;
use tokio::time::Instant;

use super::later;

/// Takes within a window's hundredth are one entry, so that the log stays short.
const STEPS: u32 = 100;
/// Older entries are dropped only beyond this many: a later limit may name a longer window.
const KEPT: usize = 1_024;

/// When jobs of a queue were taken by reserves that named a limit.
///
/// A token bucket would let twice the limit through in one window; a log does not.
#[derive(Debug)]
pub(super) struct TakeLog {
    entries: VecDeque<Entry>,
    /// Takes ever; an entry's takes are the difference to the one before.
    total: u64,
    /// Takes of the entries that were dropped.
    dropped: u64,
    /// The shortest window that was named: what is merged must be short for it.
    shortest: Duration,
    /// The longest window that was named: what is older is of no use.
    longest: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    first: Instant,
    /// The time at which all takes of the entry are counted: never too few in a window.
    last: Instant,
    /// Takes ever, this entry's included.
    total: u64,
}

impl Default for TakeLog {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            total: 0,
            dropped: 0,
            shortest: Duration::MAX,
            longest: Duration::ZERO,
        }
    }
}

impl TakeLog {
    /// How many more jobs may be taken now under this limit.
    pub(super) fn permits(&self, limit: RateLimit, now: Instant) -> usize {
        // A take counts until a whole window has passed since.
        let gone = self.entries.partition_point(|entry| later(entry.last, limit.window) <= now);
        let before = gone.checked_sub(1).map_or(self.dropped, |last| self.entries[last].total);
        let permits = u64::from(limit.limit).saturating_sub(self.total - before);
        permits.try_into().unwrap_or(usize::MAX)
    }

    /// When the next permit comes free, if there is none now; never under a limit of nothing.
    pub(super) fn next_permit(&self, limit: RateLimit) -> Option<Instant> {
        let others = u64::from(limit.limit).checked_sub(1)?;
        let first = self.entries.partition_point(|entry| self.total - entry.total > others);
        Some(later(self.entries.get(first)?.last, limit.window))
    }

    /// Notes takes under a limit; each reserve that took something says so once.
    pub(super) fn note(&mut self, taken: usize, window: Duration, now: Instant) {
        if taken == 0 {
            return;
        }
        self.shortest = self.shortest.min(window);
        self.longest = self.longest.max(window);
        self.total += taken as u64;
        let step = self.shortest / STEPS;
        match self.entries.back_mut() {
            Some(entry) if later(entry.first, step) >= now => {
                entry.last = entry.last.max(now);
                entry.total = self.total;
            }
            _ => self.entries.push_back(Entry { first: now, last: now, total: self.total }),
        }
        self.forget(now);
    }

    fn forget(&mut self, now: Instant) {
        while self.entries.len() > KEPT
            && self.entries.front().is_some_and(|entry| later(entry.last, self.longest) <= now)
        {
            self.dropped = self.entries.pop_front().map_or(self.dropped, |entry| entry.total);
        }
    }
}

#[cfg(test)]
mod tests;
