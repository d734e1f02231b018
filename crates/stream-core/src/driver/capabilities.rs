//! What a connection promises, as data.

use std::{fmt, time::Duration};

use crate::*;

/// What a connection promises; a job that asks for more is refused before it is sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Waits before a first delivery.
    pub push_delay: DelaySupport,
    /// Waits after `Retry` and `Release`.
    pub retry_delay: DelaySupport,
    /// What ends a lease.
    pub lease: LeaseSupport,
    /// How a late outcome is told from a current one.
    pub fence: Fence,
    /// How `attempt` and `lost` are kept apart.
    pub counts: Counts,
    /// Whether an id is stored once.
    pub repeated_push: Support,
    /// How strictly a more urgent job goes first.
    pub priorities: Priorities,
    /// Whether sequential pushes start in their order.
    pub order: Order,
    /// A rate limit shared by all processes.
    pub rate_limit: Support,
    /// Routing keys at push.
    pub routing: Support,
    /// At most one job of a group in flight.
    pub groups: Support,
    /// Unique keys at push.
    pub unique: Support,
    /// What `depth` answers.
    pub depth: Precision,
    /// Whether `clear` takes delayed jobs too.
    pub clear_delayed: Support,
    /// Whether `Delivery::last_error` comes back.
    pub last_error: Support,
    /// What the dead letters can list.
    pub dead_letters: Listing,
    /// Most bytes of an encoded envelope: the store's limit less 4 KiB.
    pub envelope_bytes_max: usize,
    /// Jobs per call; more no longer pay.
    pub batch: usize,
}

impl Capabilities {
    /// Everything; take back what the store cannot keep.
    pub fn full(envelope_bytes_max: usize) -> Self {
        let any = DelaySupport::Any { grain: Duration::from_millis(1) };
        Self {
            push_delay: any,
            retry_delay: any,
            lease: LeaseSupport::Timed { grain: Duration::from_millis(1), max: None },
            fence: Fence::Exact,
            counts: Counts::Exact,
            repeated_push: Support::Yes,
            priorities: Priorities::Strict,
            order: Order::Fifo,
            rate_limit: Support::Yes,
            routing: Support::Yes,
            groups: Support::Yes,
            unique: Support::Yes,
            depth: Precision::Exact,
            clear_delayed: Support::Yes,
            last_error: Support::Yes,
            dead_letters: Listing::Exact,
            envelope_bytes_max,
            batch: 1_000,
        }
    }

    /// Refuses a job that asks for what is not promised here.
    ///
    /// # Errors
    /// `Unsupported` with the feature and its limit; `InvalidJob` for too large an envelope.
    pub fn allows(&self, job: &NewJob) -> Result<()> {
        let envelope = &job.envelope;
        self.push_delay.allows("push delay", job.delay)?;
        self.retry_delay.allows("retry delay", envelope.backoff.longest())?;
        self.routing.allows("routing", job.route.is_some())?;
        self.groups.allows("groups", envelope.group.is_some())?;
        self.unique.allows("unique keys", envelope.unique_key.is_some())?;
        let longest = self.lease.max().unwrap_or(Duration::MAX);
        ensure(envelope.timeout.unwrap_or_default() <= longest, || {
            unsupported("timeout", format!("the longest lease is {longest:?}"))
        })?;
        let max = self.envelope_bytes_max;
        // The exact length costs an encoding.
        let len = if envelope.rough_len() <= max { 0 } else { envelope.encoded_len() };
        ensure(len <= max, || {
            Error::invalid_job(format!("the encoded job has {len} bytes, this connection takes {max}"))
        })
    }
}

fn unsupported(feature: &'static str, limit: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported { feature, limit: limit.into() }, "core", "check")
}

/// Whether it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// Kept.
    Yes,
    /// Refused.
    No,
}

impl Support {
    /// Whether it is kept.
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }

    pub(crate) fn allows(self, feature: &'static str, wanted: bool) -> Result<()> {
        ensure(!wanted || self == Self::Yes, || unsupported(feature, "none on this connection"))
    }
}

/// Which waits a store keeps, rounded up to the grain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DelaySupport {
    /// No wait but zero.
    None,
    /// Up to `max`.
    UpTo {
        /// The longest wait.
        max: Duration,
        /// The smallest step of a wait.
        grain: Duration,
    },
    /// Up to [`LONGEST`].
    Any {
        /// The smallest step of a wait.
        grain: Duration,
    },
}

impl DelaySupport {
    /// The longest wait.
    pub fn max(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::UpTo { max, .. } => max,
            Self::Any { .. } => LONGEST,
        }
    }

    /// The smallest step of a wait.
    pub fn grain(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::UpTo { grain, .. } | Self::Any { grain } => grain,
        }
    }

    fn allows(self, feature: &'static str, wanted: Duration) -> Result<()> {
        ensure(wanted <= self.max(), || unsupported(feature, self.to_string()))
    }
}

/// What ends a lease that nobody extends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseSupport {
    /// The store's clock; another process may settle the delivery.
    Timed {
        /// The smallest step of a lease.
        grain: Duration,
        /// Longest total, extensions included.
        max: Option<Duration>,
    },
    /// The connection, or a deadline of this process.
    Connection {
        /// Longest total, extensions included.
        max: Option<Duration>,
    },
}

impl LeaseSupport {
    /// The longest total, extensions included.
    pub fn max(self) -> Option<Duration> {
        match self {
            Self::Timed { max, .. } | Self::Connection { max } => max,
        }
    }

    /// The smallest step of a lease, or zero.
    pub fn grain(self) -> Duration {
        match self {
            Self::Timed { grain, .. } => grain,
            Self::Connection { .. } => Duration::ZERO,
        }
    }

    pub(crate) fn allows(self, lease: Duration) -> Result<()> {
        let is_kept = lease >= self.grain() && lease <= self.max().unwrap_or(lease);
        ensure(is_kept, || unsupported("lease", self.to_string()))
    }
}

/// How a late outcome is told from a current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fence {
    /// An outcome counts if nobody took the job since.
    Exact,
    /// An outcome after the end of the lease is refused even so.
    ExpiryRefused,
    /// A late outcome may be taken for a current one.
    BestEffort,
}

/// How `attempt` and `lost` are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Counts {
    /// Each is exact.
    Exact,
    /// `lost` may count deliveries that were never started.
    UnstartedMayCount,
    /// The store has one counter: `attempt` is an upper bound, `lost` is zero.
    ///
    /// What exceeds the job's attempts is taken for losses.
    Merged,
}

/// How strictly a more urgent job goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Priorities {
    /// More urgent jobs are taken first.
    Strict,
    /// Others may slip in.
    BestEffort,
}

/// Whether sequential pushes start in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// Those of one producer and priority, unless retried or released.
    Fifo,
    /// Usually.
    BestEffort,
}

/// What a count is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// True at one moment.
    Exact,
    /// An estimate.
    Estimate,
    /// An estimate of the ready jobs; the others are zero.
    ReadyOnly,
}

/// What the dead letters can list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listing {
    /// Every letter.
    Exact,
    /// Some of them.
    Sampled,
    /// No letters can be read.
    None,
}

impl fmt::Display for DelaySupport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::UpTo { max, grain } => write!(f, "up to {max:?} in steps of {grain:?}"),
            Self::Any { grain } => write!(f, "any in steps of {grain:?}"),
        }
    }
}

impl fmt::Display for LeaseSupport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timed { grain, .. } => write!(f, "timed in steps of {grain:?}")?,
            Self::Connection { .. } => f.write_str("bound to the connection")?,
        }
        self.max().map_or(Ok(()), |max| write!(f, ", at most {max:?}"))
    }
}
