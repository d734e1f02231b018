//! Who asks for jobs, since when nobody does, and how many may wait in the buffer then.

use std::time::Duration;

use tokio::time::Instant;

/// How long more may wait in the buffer than the last reserve asked for, after nobody asks any more.
const SURPLUS: Duration = Duration::from_millis(100);
/// How long anything may wait there, unless a third of the lease is shorter.
const LONGEST: Duration = Duration::from_secs(5);
/// The lease of a delivery that nobody has asked for yet, as the core's own default.
const LEASE: Duration = Duration::from_secs(30);

/// Who asks for jobs, and how many were asked for.
#[derive(Debug)]
pub(crate) struct Demand {
    /// Calls of `ready` under way.
    waiting: usize,
    asked_at: Instant,
    max_jobs: usize,
    lease: Duration,
}

impl Demand {
    pub(crate) fn new(now: Instant) -> Self {
        Self { waiting: 0, asked_at: now, max_jobs: 1, lease: LEASE }
    }

    /// Somebody waits from now on.
    pub(crate) fn begin(&mut self) {
        self.waiting += 1;
    }

    /// Somebody waits no longer.
    pub(crate) fn end(&mut self, now: Instant) {
        self.waiting -= 1;
        self.asked_at = now;
    }

    pub(crate) fn asked(&mut self, max_jobs: usize, lease: Duration, now: Instant) {
        (self.max_jobs, self.lease, self.asked_at) = (max_jobs, lease, now);
    }

    /// Whether a call of `ready` is under way.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// How many the last reserve asked for.
    pub(crate) fn max_jobs(&self) -> usize {
        self.max_jobs
    }

    /// How many may wait in the buffer now, and when fewer may.
    pub(crate) fn allowance(&self, now: Instant) -> Allowance {
        if self.waiting > 0 {
            return Allowance { jobs: usize::MAX, until: None };
        }
        let (surplus_ends, hold_ends) =
            (self.asked_at + SURPLUS.min(self.hold()), self.asked_at + self.hold());
        if now < surplus_ends {
            Allowance { jobs: usize::MAX, until: Some(surplus_ends) }
        } else if now < hold_ends {
            Allowance { jobs: self.max_jobs, until: Some(hold_ends) }
        } else {
            Allowance { jobs: 0, until: None }
        }
    }

    /// Whether somebody asks, or has just asked.
    pub(crate) fn is_there(&self, now: Instant) -> bool {
        self.waiting > 0 || now < self.asked_at + self.hold()
    }

    fn hold(&self) -> Duration {
        (self.lease / 3).min(LONGEST)
    }
}

/// How many jobs may wait in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) jobs: usize,
    pub(crate) until: Option<Instant>,
}
