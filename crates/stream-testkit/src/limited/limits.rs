//! What a limited driver promises: profiles after the kinds of stores that there are.

use std::time::Duration;

use stream_core::{
    Capabilities, Counts, DelaySupport, Fence, LeaseSupport, Listing, Order, Precision, Priorities, Support,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// A message may have 256 KiB, of which 4 KiB are kept for the outcome.
const SQS_ENVELOPE_BYTES: usize = 252 * 1024;
/// A broker gives so many messages ahead.
const PREFETCH: usize = 10;

/// What is left of a driver's abilities.
#[derive(Debug, Clone)]
pub struct Limits {
    pub(super) capabilities: Capabilities,
    /// How many jobs `ready` fetches into a buffer, so that `reserve` answers from it alone.
    pub(super) fetches_ahead: usize,
}

impl Limits {
    /// Takes back what `narrow` says of everything; nothing is fetched ahead.
    pub fn of(narrow: impl FnOnce(&mut Capabilities)) -> Self {
        let mut capabilities = Capabilities::full(16 << 20);
        narrow(&mut capabilities);
        Self { capabilities, fetches_ahead: 0 }
    }

    /// A queue service with a lease timer and one counter, whose late answers may count.
    pub fn like_sqs_standard() -> Self {
        let limits = Self::of(|it| {
            it.push_delay = DelaySupport::UpTo { max: 24 * HOUR, grain: SECOND };
            it.retry_delay = DelaySupport::UpTo { max: 12 * HOUR, grain: SECOND };
            it.lease = LeaseSupport::Timed { grain: SECOND, max: Some(12 * HOUR) };
            it.fence = Fence::BestEffort;
            it.counts = Counts::Merged;
            it.repeated_push = Support::No;
            it.last_error = Support::No;
            it.batch = 10;
            it.envelope_bytes_max = SQS_ENVELOPE_BYTES;
        });
        limits.of_a_broker().fetching_ahead(PREFETCH)
    }

    /// The same service with groups, where the end of a lease ends the delivery and no push waits.
    pub fn like_sqs_fifo() -> Self {
        let mut limits = Self::like_sqs_standard();
        let it = &mut limits.capabilities;
        it.push_delay = DelaySupport::None;
        it.fence = Fence::ExpiryRefused;
        it.repeated_push = Support::Yes;
        it.groups = Support::Yes;
        limits
    }

    /// A broker that binds deliveries to a connection, fetches ahead, and counts what was never started.
    pub fn like_rabbitmq() -> Self {
        let limits = Self::of(|it| {
            let delay = DelaySupport::UpTo { max: stream_core::LONGEST, grain: SECOND };
            (it.push_delay, it.retry_delay) = (delay, delay);
            it.lease = LeaseSupport::Connection { max: Some(HOUR / 2) };
            it.counts = Counts::UnstartedMayCount;
            it.repeated_push = Support::No;
            it.clear_delayed = Support::No;
            it.batch = 100;
        });
        limits.of_a_broker().fetching_ahead(PREFETCH)
    }

    /// A log that binds deliveries to a membership, counts and lists exactly, and says what is ready alone.
    pub fn like_kafka() -> Self {
        let limits = Self::of(|it| {
            let delay = DelaySupport::Any { grain: SECOND };
            (it.push_delay, it.retry_delay) = (delay, delay);
            it.lease = LeaseSupport::Connection { max: None };
            it.repeated_push = Support::No;
            it.clear_delayed = Support::No;
            it.batch = 500;
        });
        let mut limits = limits.of_a_broker();
        limits.capabilities.depth = Precision::ReadyOnly;
        limits.capabilities.dead_letters = Listing::Exact;
        limits
    }

    /// A store that keeps next to nothing: no push waits, no letters that can be read.
    pub fn bare() -> Self {
        let limits = Self::of(|it| {
            it.push_delay = DelaySupport::None;
            it.retry_delay = DelaySupport::UpTo { max: HOUR, grain: Duration::from_millis(1) };
            it.repeated_push = Support::No;
            it.last_error = Support::No;
        });
        let mut limits = limits.of_a_broker();
        limits.capabilities.dead_letters = Listing::None;
        limits
    }

    /// Makes the smallest steps of waits and leases as long as `grain`, so that tests need not wait for seconds.
    #[must_use]
    pub fn grain(mut self, step: Duration) -> Self {
        let it = &mut self.capabilities;
        for delay in [&mut it.push_delay, &mut it.retry_delay] {
            if let DelaySupport::UpTo { grain, .. } | DelaySupport::Any { grain } = delay {
                *grain = step;
            }
        }
        if let LeaseSupport::Timed { grain, .. } = &mut it.lease {
            *grain = step;
        }
        self
    }

    /// Fetches so many jobs ahead of each queue; at least 1.
    #[must_use]
    pub fn fetching_ahead(mut self, jobs: usize) -> Self {
        self.fetches_ahead = jobs.max(1);
        self
    }

    /// Changes what is promised further.
    #[must_use]
    pub fn changed(mut self, change: impl FnOnce(&mut Capabilities)) -> Self {
        change(&mut self.capabilities);
        self
    }

    /// What no broker promises.
    fn of_a_broker(mut self) -> Self {
        let it = &mut self.capabilities;
        it.priorities = Priorities::BestEffort;
        it.order = Order::BestEffort;
        (it.rate_limit, it.routing, it.groups, it.unique) =
            (Support::No, Support::No, Support::No, Support::No);
        it.depth = Precision::Estimate;
        it.dead_letters = Listing::Sampled;
        self
    }
}
