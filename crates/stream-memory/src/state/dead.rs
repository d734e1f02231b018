//! The dead letters of a queue.

use std::ops::Bound;

use stream_core::{DeadLetter, DeadLetterId};
use tokio::time::Instant;

use super::{
    Queue,
    rows::{Removed, Row, State},
};

impl Queue {
    /// Letters in the order of their burial, from behind `after`.
    pub(crate) fn dead_letters(&self, after: Option<u64>, limit: usize) -> Vec<DeadLetter> {
        let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let letters = self.dead.range(behind).take(limit);
        letters.filter_map(|(burial, slot)| Some(to_letter(*burial, self.rows.get(*slot)?))).collect()
    }

    pub(crate) fn dead_count(&self) -> u64 {
        self.dead.len() as u64
    }

    /// Puts one at the end of its line, unless its unique key is held.
    pub(crate) fn retry_dead(&mut self, burial: u64, now: Instant) -> bool {
        let Some(&slot) = self.dead.get(&burial) else { return false };
        let Some(row) = self.rows.get_mut(slot) else { return false };
        if let Some(key) = row.unique_key() {
            if self.unique.contains_key(key) {
                return false;
            }
            self.unique.insert(key.to_owned(), slot);
        }
        row.attempt = 1;
        row.lost = 0;
        row.state = State::Waiting;
        self.lines[row.level()].append(slot, now, now);
        self.dead.remove(&burial);
        true
    }

    /// Retries those there are now; how many went.
    pub(crate) fn retry_all_dead(&mut self, now: Instant) -> u64 {
        let burials: Vec<_> = self.dead.keys().copied().collect();
        burials.into_iter().filter(|burial| self.retry_dead(*burial, now)).count() as u64
    }

    pub(crate) fn remove_dead(&mut self, burial: u64) -> bool {
        let slot = self.dead.remove(&burial);
        slot.and_then(|slot| self.remove(slot)).is_some()
    }

    pub(crate) fn clear_dead(&mut self) -> Removed {
        let slots = std::mem::take(&mut self.dead).into_values();
        slots.filter_map(|slot| self.remove(slot)).collect()
    }
}

fn to_letter(burial: u64, row: &Row) -> DeadLetter {
    let id = DeadLetterId::new(burial.to_be_bytes());
    let error = row.last_error.clone().unwrap_or_default();
    let mut letter = DeadLetter::new(id, row.body.clone(), error);
    letter.attempt = row.attempt;
    letter.lost = row.lost;
    letter
}
