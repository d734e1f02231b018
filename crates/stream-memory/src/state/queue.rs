//! One queue: push, reserve, depth and clear.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    time::Duration,
};

use stream_core::{
    Delivery, Depth, Envelope, JobId, NewJob, Priority, Pushed, RateLimit, Reserve, Undecodable,
};
use tokio::time::Instant;

use super::{
    Listeners,
    groups::{Groups, Parked},
    later,
    line::{Line, Source},
    rate::TakeLog,
    rows::{Removed, Row, Rows, Slot, State},
    settle::free_unique,
};
use crate::receipt::Token;

/// The jobs of one queue, waiting, on loan and dead.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(super) rows: Rows,
    ids: HashMap<JobId, Slot>,
    /// Held by the waiting or reserved job in that row.
    pub(super) unique: HashMap<String, Slot>,
    pub(super) lines: [Line; Priority::ALL.len()],
    pub(super) groups: Groups,
    /// Dead letters in the order of their burial.
    pub(super) dead: BTreeMap<u64, Slot>,
    pub(super) burials: u64,
    log: TakeLog,
    pub(crate) listeners: Listeners,
    store: u64,
    number: usize,
    deliveries: u64,
    places: u64,
}

/// The smallest step of a lease.
const GRAIN: Duration = Duration::from_millis(1);

/// The store holds its capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Whether a reserve would take something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It would.
    Now,
    /// It may from then on, if nothing else happens before.
    At(Instant),
    /// Not before something happens.
    Unknown,
}

impl Queue {
    pub(super) fn new(store: u64, number: usize) -> Self {
        Self {
            rows: Rows::default(),
            ids: HashMap::new(),
            unique: HashMap::new(),
            lines: Default::default(),
            groups: Groups::default(),
            dead: BTreeMap::new(),
            burials: 0,
            log: TakeLog::default(),
            listeners: Listeners::default(),
            store,
            number,
            deliveries: 0,
            places: 0,
        }
    }

    /// Jobs in all: waiting, on loan and dead.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Stores a job, if there is room and neither its id nor its unique key is here.
    pub(crate) fn push(&mut self, job: &NewJob, room: usize, now: Instant) -> Result<Pushed, Full> {
        let envelope = &job.envelope;
        let id = envelope.id;
        let Entry::Vacant(place) = self.ids.entry(id) else { return Ok(Pushed::AlreadyStored(id)) };
        let holder = envelope.unique_key.as_ref().and_then(|key| self.unique.get(key));
        if let Some(holder) = holder.and_then(|slot| self.rows.get(*slot)?.id()) {
            return Ok(Pushed::Duplicate(holder));
        }
        if room == 0 {
            return Err(Full);
        }
        let slot = self.rows.insert(Row::new(Ok(envelope.clone())));
        place.insert(slot);
        if let Some(key) = &envelope.unique_key {
            self.unique.insert(key.clone(), slot);
        }
        let level = usize::from(envelope.priority.level());
        self.lines[level].append(slot, later(now, job.delay), now);
        Ok(Pushed::Stored(id))
    }

    /// Stores what another producer wrote, as it is.
    pub(crate) fn push_bytes(
        &mut self,
        decoded: Result<Envelope, Undecodable>,
        room: usize,
        now: Instant,
    ) -> Result<(), Full> {
        let undecodable = match decoded {
            Ok(envelope) => return self.push(&NewJob::new(envelope), room, now).map(drop),
            Err(undecodable) => undecodable,
        };
        if room == 0 {
            return Err(Full);
        }
        let id = undecodable.id;
        let row = Row::new(Err(undecodable));
        let level = row.level();
        let slot = self.rows.insert(row);
        // Bytes that claim the id of another job are kept beside it: nothing may be dropped unread.
        if let Some(id) = id {
            self.ids.entry(id).or_insert(slot);
        }
        self.lines[level].append(slot, now, now);
        Ok(())
    }

    /// Takes jobs, the most urgent first.
    pub(crate) fn reserve(&mut self, request: Reserve, now: Instant) -> Vec<Delivery> {
        let permits = request.rate_limit.map_or(usize::MAX, |limit| self.log.permits(limit, now));
        let max_jobs = request.max_jobs.min(permits);
        // A lease that ended at once would be taken back by the very call that gave it, for ever.
        let request = request.lease(request.lease.max(GRAIN));
        let ends = later(now, request.lease);
        let mut taken = Vec::with_capacity(max_jobs.min(self.rows.len()));
        while taken.len() < max_jobs
            && let Some((level, source, slot)) = self.next(now)
        {
            self.lines[level].pop(source);
            taken.extend(self.lend(slot, source, ends));
        }
        if let Some(limit) = request.rate_limit {
            self.log.note(taken.len(), limit.window, now);
        }
        taken
    }

    /// The most urgent job that may be taken; those that their group holds back are put aside.
    fn next(&mut self, now: Instant) -> Option<(usize, Source, Slot)> {
        for level in 0..self.lines.len() {
            while let Some((source, slot)) = self.lines[level].next(now) {
                let group = self.rows.get(slot).and_then(Row::group);
                if group.is_none_or(|group| self.groups.allows(group, slot)) {
                    return Some((level, source, slot));
                }
                self.lines[level].pop(source);
                self.park(slot, source);
            }
        }
        None
    }

    fn park(&mut self, slot: Slot, source: Source) {
        let place = self.place(slot, source);
        if let Some(row) = self.rows.get(slot)
            && let Some(group) = row.group()
        {
            self.groups.park(group, Parked { level: row.level(), place, slot });
        }
    }

    /// The place of a job that came to the front; given once, so that it can go back to it.
    fn place(&mut self, slot: Slot, source: Source) -> u64 {
        let Some(row) = self.rows.get_mut(slot) else { return self.places };
        if matches!(source, Source::Appended | Source::Due) {
            self.places += 1;
            row.place = self.places;
        }
        row.place
    }

    fn lend(&mut self, slot: Slot, source: Source, ends: Instant) -> Option<Delivery> {
        self.place(slot, source);
        self.deliveries += 1;
        let delivery = self.deliveries;
        let row = self.rows.get_mut(slot)?;
        if source == Source::Ended {
            row.lost = row.lost.saturating_add(1);
        }
        row.state = State::Leased { delivery, ends };
        self.lines[row.level()].lend(slot, delivery, ends);
        if let Some(group) = row.group() {
            self.groups.hold(group, slot);
        }
        Some(row.to_delivery(Token { store: self.store, queue: self.number, row: slot, delivery }))
    }

    /// Whether a reserve under this limit would take something, or when it may.
    pub(crate) fn readiness(&mut self, limit: Option<RateLimit>, now: Instant) -> Readiness {
        if self.next(now).is_none() {
            return self.next_time().map_or(Readiness::Unknown, Readiness::At);
        }
        match limit {
            Some(limit) if self.log.permits(limit, now) == 0 => {
                self.log.next_permit(limit).map_or(Readiness::Unknown, Readiness::At)
            }
            _ => Readiness::Now,
        }
    }

    /// When time alone makes a job ready, if none is now.
    fn next_time(&self) -> Option<Instant> {
        self.lines.iter().filter_map(Line::next_time).min()
    }

    pub(crate) fn depth(&self, now: Instant) -> Depth {
        let counts = self.lines.each_ref().map(|line| line.counts(now));
        let sum = |count: fn(&super::line::Counts) -> usize| counts.iter().map(count).sum::<usize>() as u64;
        let ready = sum(|line| line.ready) + self.groups.parked() as u64;
        let mut depth = Depth::new(ready, sum(|line| line.delayed), sum(|line| line.leased));
        depth.dead = Some(self.dead.len() as u64);
        depth
    }

    /// Removes all that waits, ended leases included.
    pub(crate) fn clear(&mut self, now: Instant) -> Removed {
        let in_line = self.lines.iter_mut().flat_map(|line| line.clear(now)).collect::<Vec<_>>();
        let mut removed: Removed = in_line.into_iter().filter_map(|slot| self.remove(slot)).collect();
        let parked = self.groups.clear(|slot| match self.rows.get(slot).map(|row| row.state) {
            Some(State::Leased { ends, .. }) => ends > now,
            _ => false,
        });
        removed.extend(parked.into_iter().filter_map(|slot| self.remove(slot)));
        removed
    }

    /// Forgets a job that is in no line any more.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Box<Row>> {
        let row = self.rows.remove(slot)?;
        if let Some(id) = row.id()
            && self.ids.get(&id) == Some(&slot)
        {
            self.ids.remove(&id);
        }
        free_unique(&mut self.unique, &row, slot);
        Some(row)
    }

    /// Whether the token names a delivery of this queue, current or not.
    pub(super) fn has_issued(&self, token: Token) -> bool {
        (token.store, token.queue) == (self.store, self.number)
    }
}

#[cfg(test)]
mod tests;
