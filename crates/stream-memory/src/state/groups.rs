//! Groups: at most one job of each is in flight, the others stand aside.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::rows::Slot;

/// The groups that have a job in flight or jobs standing aside.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<String, Group>,
    parked: usize,
}

#[derive(Debug, Default)]
struct Group {
    /// The job that was taken last and is not done: nobody else of the group may be taken.
    holder: Option<Slot>,
    /// Came to the front while the group was held.
    parked: BinaryHeap<Reverse<Parked>>,
}

/// A job standing aside; the first in order goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Parked {
    pub(super) level: usize,
    pub(super) place: u64,
    pub(super) slot: Slot,
}

impl Groups {
    /// Whether this job of the group may be taken.
    pub(super) fn allows(&self, group: &str, slot: Slot) -> bool {
        let holder = self.groups.get(group).and_then(|group| group.holder);
        holder.is_none_or(|holder| holder == slot)
    }

    /// Gives the group to a job that was taken.
    pub(super) fn hold(&mut self, group: &str, slot: Slot) {
        match self.groups.get_mut(group) {
            Some(group) => group.holder = Some(slot),
            None => {
                self.groups.insert(group.to_owned(), Group { holder: Some(slot), ..Group::default() });
            }
        }
    }

    /// Lets a job of a held group stand aside, so that no reserve looks at it again in vain.
    pub(super) fn park(&mut self, group: &str, job: Parked) {
        if let Some(group) = self.groups.get_mut(group) {
            group.parked.push(Reverse(job));
            self.parked += 1;
        }
    }

    /// Takes the group back from its holder; the answer goes back to its line.
    ///
    /// Only one does: it, or a job that is still in line, holds the group next, and the others would
    /// come to the front in vain.
    pub(super) fn free(&mut self, group: &str) -> Option<Parked> {
        let freed = self.groups.get_mut(group)?;
        freed.holder = None;
        let next = freed.parked.pop();
        self.parked -= usize::from(next.is_some());
        if freed.parked.is_empty() {
            self.groups.remove(group);
        }
        next.map(|Reverse(job)| job)
    }

    pub(super) fn parked(&self) -> usize {
        self.parked
    }

    /// Removes all that stand aside, and the groups whose holder goes as well.
    pub(super) fn clear(&mut self, stays: impl Fn(Slot) -> bool) -> Vec<Slot> {
        let parked = |group: &mut Group| std::mem::take(&mut group.parked).into_iter();
        let removed = self.groups.values_mut().flat_map(parked).map(|Reverse(job)| job.slot).collect();
        self.groups.retain(|_, group| group.holder.is_some_and(&stays));
        self.parked = 0;
        removed
    }
}
