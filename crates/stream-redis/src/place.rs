//! One queue of a subscription: until when its limit has no permit.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use crate::{keys::Keys, locked::locked};

/// One queue of a subscription.
pub(crate) struct Place {
    pub(crate) keys: Arc<Keys>,
    limited_until: Mutex<Option<Instant>>,
}

impl Place {
    pub(crate) fn new(keys: Arc<Keys>) -> Self {
        Self { keys, limited_until: Mutex::default() }
    }

    /// Until when there is nothing to ask, if not now.
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        locked(&self.limited_until).filter(|until| *until > now)
    }

    /// How long the limit of the last reserve has no permit; none if it had no limit, or has a permit.
    pub(crate) fn limit(&self, wait: Option<Duration>) {
        *locked(&self.limited_until) = wait.map(|wait| later(Instant::now(), wait));
    }
}

/// Waits are up to years: one that no clock can hold is as good as ten of them.
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    at.checked_add(by).unwrap_or(at + FAR)
}
