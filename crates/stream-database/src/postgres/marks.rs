//! Up to where each queue was taken, so that a reserve need not pass what is over.
//!
//! A job that was taken leaves entries in the index that no vacuum removes while somebody holds an old snapshot.
//! A reserve that begins at the front passes them all: minutes into a dump, that is all it does.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::locked::locked;

/// How long what appears below a mark may wait: a push that was committed late, or what was locked.
const STALE: Duration = Duration::from_secs(1);
/// A whole look takes at most this part of the time, and then what is below a mark may wait longer, up to so long.
const SHARE: u32 = 20;
const STALE_LONGEST: Duration = Duration::from_secs(30);
/// More queues than this are forgotten.
const QUEUES: usize = 1_024;

/// For each priority the due time of the last job that was taken, in microseconds since 1970.
pub(super) type Levels = [Option<i64>; 4];

/// The marks of all queues, as this process knows them.
#[derive(Debug, Default)]
pub(super) struct Marks {
    queues: Mutex<HashMap<String, Mark>>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    levels: Levels,
    /// When the queue is to be looked at from its front again.
    stale_at: Instant,
}

impl Marks {
    /// Where a reserve may begin; none at the front.
    pub(super) fn of(&self, queue: &str) -> Option<Levels> {
        let mark = *locked(&self.queues).get(queue)?;
        (Instant::now() < mark.stale_at).then_some(mark.levels)
    }

    /// A reserve from the front got all it asked for, and took so long.
    pub(super) fn begin(&self, queue: &str, levels: Levels, took: Duration) {
        let mut queues = locked(&self.queues);
        if queues.len() >= QUEUES {
            queues.clear();
        }
        let stale = (took * SHARE).clamp(STALE, STALE_LONGEST);
        queues.insert(queue.to_owned(), Mark { levels, stale_at: Instant::now() + stale });
    }

    /// A reserve from the mark got all it asked for.
    pub(super) fn advance(&self, queue: &str, levels: Levels) {
        if let Some(mark) = locked(&self.queues).get_mut(queue) {
            for (mark, level) in mark.levels.iter_mut().zip(levels) {
                *mark = (*mark).max(level);
            }
        }
    }

    /// There was less than was asked for: the next reserve begins at the front.
    pub(super) fn forget(&self, queue: &str) {
        locked(&self.queues).remove(queue);
    }
}
