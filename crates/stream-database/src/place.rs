//! One queue of a subscription: until when it need not be asked about.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use stream_core::QueueName;
use tokio::time::Instant;

use crate::{locked::locked, row::Next, subscription::later};

/// How long a queue is not named again whose work a reserve did not get; doubled up to the longest.
const MISSED: Duration = Duration::from_millis(5);
const MISSED_LONGEST: Duration = Duration::from_millis(250);

/// One queue of a subscription.
pub(crate) struct Place {
    pub(crate) queue: QueueName,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The limit has no permit before then.
    limited_until: Option<Instant>,
    /// The queue was named, and no reserve has come since.
    is_named: bool,
    /// Reserves in a row that got nothing of a queue that was named: its rows are locked by others.
    misses: u32,
    missed_until: Option<Instant>,
}

impl Place {
    pub(crate) fn new(queue: QueueName) -> Self {
        Self { queue, state: Mutex::default() }
    }

    /// The name, since the caller is about to give it out.
    pub(crate) fn name(&self) -> QueueName {
        self.state().is_named = true;
        self.queue.clone()
    }

    /// Until when there is nothing to ask, if not now.
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        let state = self.state();
        state.limited_until.max(state.missed_until).filter(|until| *until > now)
    }

    /// Somebody told of work; whether the limit lets it be taken.
    pub(crate) fn wake(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.missed_until = None;
        state.limited_until.is_none_or(|until| until <= now)
    }

    /// What the store said of the queue.
    pub(crate) fn probed(&self, next: Next) {
        if next != Next::Now {
            self.state().misses = 0;
        }
    }

    /// What a reserve came to: how many rows, and how long its limit has no permit.
    pub(crate) fn reserved(&self, rows: usize, wait: Option<Duration>) {
        let now = Instant::now();
        let mut state = self.state();
        let was_named = std::mem::take(&mut state.is_named);
        state.limited_until = wait.map(|wait| later(now, wait));
        state.missed_until = None;
        if rows > 0 || wait.is_some() {
            state.misses = 0;
        } else if was_named {
            state.missed_until = Some(now + (MISSED * 2_u32.pow(state.misses)).min(MISSED_LONGEST));
            state.misses = (state.misses + 1).min(10);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}
