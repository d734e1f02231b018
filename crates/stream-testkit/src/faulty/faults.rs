//! Which calls fail and on which side: a pure function of the seed, the operation and its number.

use std::time::Duration;

use stream_core::QueueName;

use crate::random::SplitMix64;

/// An operation of a driver that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// `Driver::push`, the whole batch.
    Push,
    /// `Driver::subscribe`.
    Subscribe,
    /// `Subscription::ready`; on the side `After` it wakes spuriously and names every queue.
    Ready,
    /// `Subscription::reserve`; on the side `After` the jobs are taken and come back after their lease.
    Reserve,
    /// `Driver::settle`, the whole batch.
    Settle,
    /// `Driver::extend`, the whole batch.
    Extend,
    /// `Driver::depth`.
    Depth,
    /// `Driver::clear`.
    Clear,
    /// `Driver::check`.
    Check,
    /// All of `DeadLetterStore`.
    DeadLetters,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Push,
        Self::Subscribe,
        Self::Ready,
        Self::Reserve,
        Self::Settle,
        Self::Extend,
        Self::Depth,
        Self::Clear,
        Self::Check,
        Self::DeadLetters,
    ];

    /// The name of the operation in errors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Subscribe => "subscribe",
            Self::Ready => "ready",
            Self::Reserve => "reserve",
            Self::Settle => "settle",
            Self::Extend => "extend",
            Self::Depth => "depth",
            Self::Clear => "clear",
            Self::Check => "check",
            Self::DeadLetters => "dead letters",
        }
    }
}

/// Where a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Before the inner call: `Unavailable`, certainly not applied.
    Before,
    /// After the inner call: applied, and the answer is lost: `OutcomeUnknown`.
    After,
}

/// How often each operation fails, drawn from a seed.
///
/// Nothing fails until it is named. Whether the n-th call of an operation fails depends on the seed,
/// the operation and n alone, so that tasks which run at the same time do not change each other's faults.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    pub(super) seed: u64,
    chances: [f64; Operation::ALL.len()],
    side: Option<Side>,
    slowest: Duration,
    queue: Option<QueueName>,
}

impl Faults {
    /// No faults, until operations are named.
    pub const fn new(seed: u64) -> Self {
        Self { seed, chances: [0.0; Operation::ALL.len()], side: None, slowest: Duration::ZERO, queue: None }
    }

    /// Each operation fails with this probability, from 0 to 1.
    pub const fn everywhere(seed: u64, chance: f64) -> Self {
        let mut faults = Self::new(seed);
        faults.chances = [chance; Operation::ALL.len()];
        faults
    }

    /// This operation fails with this probability, from 0 to 1.
    #[must_use]
    pub const fn on(mut self, operation: Operation, chance: f64) -> Self {
        self.chances[operation as usize] = chance;
        self
    }

    /// `push` fails with this probability.
    #[must_use]
    pub const fn push(self, chance: f64) -> Self {
        self.on(Operation::Push, chance)
    }

    /// `subscribe` fails with this probability.
    #[must_use]
    pub const fn subscribe(self, chance: f64) -> Self {
        self.on(Operation::Subscribe, chance)
    }

    /// `ready` fails or wakes spuriously with this probability.
    #[must_use]
    pub const fn ready(self, chance: f64) -> Self {
        self.on(Operation::Ready, chance)
    }

    /// `reserve` fails with this probability.
    #[must_use]
    pub const fn reserve(self, chance: f64) -> Self {
        self.on(Operation::Reserve, chance)
    }

    /// `settle` fails with this probability.
    #[must_use]
    pub const fn settle(self, chance: f64) -> Self {
        self.on(Operation::Settle, chance)
    }

    /// `extend` fails with this probability.
    #[must_use]
    pub const fn extend(self, chance: f64) -> Self {
        self.on(Operation::Extend, chance)
    }

    /// The dead letters fail with this probability.
    #[must_use]
    pub const fn dead_letters(self, chance: f64) -> Self {
        self.on(Operation::DeadLetters, chance)
    }

    /// All faults are on this side; else each has an even chance of either.
    #[must_use]
    pub const fn only(mut self, side: Side) -> Self {
        self.side = Some(side);
        self
    }

    /// Faults strike this queue alone, and so no operation that is of no one queue.
    #[must_use]
    pub fn in_queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    pub(super) fn strike_in(&self, queue: Option<&QueueName>) -> bool {
        self.queue.is_none() || self.queue.as_ref() == queue
    }

    /// Each call waits up to `longest` before the inner call, and as long after it, by tokio's clock.
    ///
    /// So it can be dropped at either point. `ready` waits only before, since its answer would be lost.
    #[must_use]
    pub const fn slow(mut self, longest: Duration) -> Self {
        self.slowest = longest;
        self
    }

    /// How long the wait of this number is.
    pub(super) fn wait(&self, number: u64) -> Duration {
        // Apart from the numbers of calls, which are far smaller.
        let mut random = SplitMix64::stream(self.seed, number | 1 << 63);
        self.slowest.mul_f64(random.fraction())
    }

    /// The fault of the call number `number` of an operation.
    pub fn of_call(&self, operation: Operation, number: u64) -> Option<Side> {
        let mut random = SplitMix64::stream(self.seed, (number << 8) | operation as u64);
        let is_hit = random.fraction() < self.chances[operation as usize];
        let side = if random.next() & 1 == 0 { Side::Before } else { Side::After };
        is_hit.then_some(self.side.unwrap_or(side))
    }
}
