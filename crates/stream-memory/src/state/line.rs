//! The line of one priority: who is next, and when the next one comes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

use tokio::time::Instant;

use super::rows::Slot;

/// The jobs of one priority that wait or are on loan.
///
/// Nothing is moved when its time comes: due jobs and ended leases are found where they lie, so that
/// a million of them falling due at once costs no reserve more than one.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// By end and delivery number. The ended ones are the front of the line.
    leased: BTreeMap<(Instant, u64), Slot>,
    /// Came to the front once and went back to their place.
    returned: BinaryHeap<Reverse<(u64, Slot)>>,
    /// Ready since they were appended.
    appended: VecDeque<(Instant, Slot)>,
    /// By the time at which they are appended, and the order of their coming.
    delayed: BTreeMap<(Instant, u64), Slot>,
    arrivals: u64,
}

/// Where the next of a line lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Its lease ended.
    Ended,
    /// It has a place already.
    Returned,
    /// It came to the front for the first time.
    Appended,
    /// As `Appended`, after a wait.
    Due,
}

/// How many jobs of a line are what at one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) ready: usize,
    pub(super) delayed: usize,
    pub(super) leased: usize,
}

impl Line {
    /// Puts a job at the end, `at` being now or the time when its wait is over.
    pub(super) fn append(&mut self, slot: Slot, at: Instant, now: Instant) {
        if at <= now {
            return self.appended.push_back((now, slot));
        }
        self.arrivals += 1;
        self.delayed.insert((at, self.arrivals), slot);
    }

    /// Puts a job back to the place it had.
    pub(super) fn put_back(&mut self, slot: Slot, place: u64) {
        self.returned.push(Reverse((place, slot)));
    }

    pub(super) fn lend(&mut self, slot: Slot, delivery: u64, ends: Instant) {
        self.leased.insert((ends, delivery), slot);
    }

    pub(super) fn end_lease(&mut self, delivery: u64, ends: Instant) {
        self.leased.remove(&(ends, delivery));
    }

    /// Who is next, and where it lies.
    pub(super) fn next(&self, now: Instant) -> Option<(Source, Slot)> {
        if let Some((&(ends, _), &slot)) = self.leased.first_key_value()
            && ends <= now
        {
            return Some((Source::Ended, slot));
        }
        if let Some(&Reverse((_, slot))) = self.returned.peek() {
            return Some((Source::Returned, slot));
        }
        let due = self.delayed.first_key_value().filter(|((due, _), _)| *due <= now);
        match (due, self.appended.front()) {
            (Some(((due, _), slot)), Some((since, _))) if due <= since => Some((Source::Due, *slot)),
            (_, Some((_, slot))) => Some((Source::Appended, *slot)),
            (Some((_, slot)), None) => Some((Source::Due, *slot)),
            (None, None) => None,
        }
    }

    /// Removes the one that `next` has found there.
    pub(super) fn pop(&mut self, source: Source) {
        match source {
            Source::Ended => drop(self.leased.pop_first()),
            Source::Returned => drop(self.returned.pop()),
            Source::Appended => drop(self.appended.pop_front()),
            Source::Due => drop(self.delayed.pop_first()),
        }
    }

    /// When time alone makes the next job ready, if none is now.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let firsts = [self.leased.first_key_value(), self.delayed.first_key_value()];
        firsts.into_iter().flatten().map(|((at, _), _)| *at).min()
    }

    pub(super) fn counts(&self, now: Instant) -> Counts {
        let past = ..=(now, u64::MAX);
        let (due, ended) = (self.delayed.range(past).count(), self.leased.range(past).count());
        Counts {
            ready: self.returned.len() + self.appended.len() + due + ended,
            delayed: self.delayed.len() - due,
            leased: self.leased.len() - ended,
        }
    }

    /// Removes all but the leases that have not ended.
    pub(super) fn clear(&mut self, now: Instant) -> Vec<Slot> {
        let current = self.leased.split_off(&(now, u64::MAX));
        let ended = std::mem::replace(&mut self.leased, current);
        let mut removed: Vec<_> = ended.into_values().collect();
        removed.extend(std::mem::take(&mut self.returned).into_iter().map(|Reverse((_, slot))| slot));
        removed.extend(std::mem::take(&mut self.appended).into_iter().map(|(_, slot)| slot));
        removed.extend(std::mem::take(&mut self.delayed).into_values());
        removed
    }
}
