//! How deliveries end, and how their leases are moved.

use std::{collections::HashMap, time::Duration};

use stream_core::Outcome;
use tokio::time::Instant;

use super::{
    Queue,
    groups::Groups,
    later,
    line::Line,
    rows::{Row, Slot, State},
};
use crate::receipt::Token;

/// Whether a change makes something ready, now or sooner than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Nobody need know.
    Quiet,
    /// Who waits should look again.
    Wakes,
}

impl Queue {
    /// Ends a delivery; none if it is over.
    pub(crate) fn settle(&mut self, token: Token, outcome: &Outcome, now: Instant) -> Option<Change> {
        let slot = token.row;
        let ends = self.lease_end(token)?;
        let row = self.rows.get_mut(slot)?;
        let level = row.level();
        self.lines[level].end_lease(token.delivery, ends);
        match outcome {
            Outcome::Done => {
                let row = self.remove(slot)?;
                return Some(free_group(&mut self.groups, &mut self.lines, &row));
            }
            Outcome::Bury { error } => {
                row.state = State::Dead;
                row.last_error = Some(error.clone());
                return Some(self.bury(slot));
            }
            Outcome::Retry { after, error } => {
                row.state = State::Waiting;
                row.attempt = row.attempt.saturating_add(1);
                row.last_error = Some(error.clone());
                self.lines[level].append(slot, later(now, *after), now);
            }
            Outcome::Release { after } => {
                row.state = State::Waiting;
                match after.is_zero() {
                    true => self.lines[level].put_back(slot, row.place),
                    false => self.lines[level].append(slot, later(now, *after), now),
                }
            }
        }
        Some(Change::Wakes)
    }

    /// Makes a lease end `lease` from now; none if the delivery is over.
    pub(crate) fn extend(&mut self, token: Token, lease: Duration, now: Instant) -> Option<Change> {
        let before = self.lease_end(token)?;
        let ends = later(now, lease);
        let row = self.rows.get_mut(token.row)?;
        row.state = State::Leased { delivery: token.delivery, ends };
        let line = &mut self.lines[row.level()];
        line.end_lease(token.delivery, before);
        line.lend(token.row, token.delivery, ends);
        Some(if ends < before { Change::Wakes } else { Change::Quiet })
    }

    /// Whether the delivery was neither settled nor taken over.
    pub(crate) fn is_current(&self, token: Token) -> bool {
        self.lease_end(token).is_some()
    }

    /// When the lease of the current delivery ends or ended; none for one that is over.
    fn lease_end(&self, token: Token) -> Option<Instant> {
        match self.rows.get(token.row)?.state {
            State::Leased { delivery, ends } if self.has_issued(token) && delivery == token.delivery => {
                Some(ends)
            }
            _ => None,
        }
    }

    fn bury(&mut self, slot: Slot) -> Change {
        self.burials += 1;
        self.dead.insert(self.burials, slot);
        // It keeps its place among the ids: a dead job is not stored again.
        let Self { rows, unique, groups, lines, .. } = self;
        let Some(row) = rows.get(slot) else { return Change::Quiet };
        free_unique(unique, row, slot);
        free_group(groups, lines, row)
    }
}

pub(super) fn free_unique(unique: &mut HashMap<String, Slot>, row: &Row, slot: Slot) {
    if let Some(key) = row.unique_key()
        && unique.get(key) == Some(&slot)
    {
        unique.remove(key);
    }
}

/// Takes the group back from a job that is over, and puts the next one of it in line.
fn free_group(groups: &mut Groups, lines: &mut [Line], row: &Row) -> Change {
    let Some(job) = row.group().and_then(|group| groups.free(group)) else { return Change::Quiet };
    lines[job.level].put_back(job.slot, job.place);
    Change::Wakes
}
