//! The clock: the machine's, which all processes on a file share.

use std::{
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::locked::locked;

/// A clock that is set back by less than this stands still instead; one that is set back further is followed.
const SMALL_STEP: i64 = 1_000_000;

/// Microseconds since 1970, never the same twice, so that a later push has a later time.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Mutex<i64>,
}

impl Clock {
    pub(super) fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.at(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// The time to use when the machine says `machine`.
    fn at(&self, machine: i64) -> i64 {
        let mut last = locked(&self.last);
        let is_behind = machine <= *last && *last - machine < SMALL_STEP;
        *last = if is_behind { *last + 1 } else { machine };
        *last
    }
}

#[cfg(test)]
mod tests;
