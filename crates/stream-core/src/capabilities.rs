//! What a connection promises, as data.

use std::{fmt, time::Duration};

use crate::{Error, ErrorKind, NewJob, Result};

/// What a connection promises, from its configuration alone.
///
/// The core refuses a job that asks for more, before anything is sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Waits between the push of a job and its first delivery.
    pub push_delay: DelaySupport,
    /// Waits after `Retry` and `Release`.
    pub retry_delay: DelaySupport,
    /// What ends a lease.
    pub lease: LeaseSupport,
    /// How a late outcome is told from a current one.
    pub fence: Fence,
    /// How `attempt` and `lost` are kept apart.
    pub counts: Counts,
    /// Whether a push of an id that the queue holds is recognised, and not stored again.
    pub repeated_push: Support,
    /// How strictly a more urgent job goes first.
    pub priorities: Priorities,
    /// Whether sequential pushes start in their order.
    pub order: Order,
    /// A rate limit shared by all processes on the queue.
    pub rate_limit: Support,
    /// Routing keys at push.
    pub routing: Support,
    /// At most one job of a group in flight.
    pub groups: Support,
    /// Unique keys at push.
    pub unique: Support,
    /// What `depth` answers.
    pub depth: Precision,
    /// Whether `clear` takes the delayed jobs as well.
    pub clear_delayed: Support,
    /// Whether `Delivery::last_error` comes back.
    pub last_error: Support,
    /// What the dead letters can list.
    pub dead_letters: Listing,
    /// Most bytes of an encoded envelope, headers included: the store's own limit less 4 KiB.
    pub envelope_bytes_max: usize,
    /// Jobs per call beyond which a larger batch no longer pays.
    pub batch: usize,
}

impl Capabilities {
    /// Everything is promised; a driver takes back what its store cannot keep.
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
    /// `Unsupported` with the feature and its limit; `InvalidJob` if the envelope is too large.
    pub fn allows(&self, job: &NewJob) -> Result<()> {
        let envelope = &job.envelope;
        self.push_delay.allows("push delay", job.delay)?;
        self.retry_delay.allows("retry delay", envelope.backoff.longest())?;
        self.routing.allows("routing", job.route.is_some())?;
        self.groups.allows("groups", envelope.group.is_some())?;
        self.unique.allows("unique keys", envelope.unique_key.is_some())?;
        if let (Some(timeout), Some(max)) = (envelope.timeout, self.lease.max())
            && timeout > max
        {
            return Err(unsupported("timeout", format!("the longest lease is {max:?}")));
        }
        let max = self.envelope_bytes_max;
        // The exact length costs an encoding, so it is asked only when the rough one is not enough.
        match envelope.rough_len() <= max || envelope.encoded_len() <= max {
            true => Ok(()),
            false => Err(Error::invalid_job(format!(
                "the encoded job has {} bytes, this connection takes {max}",
                envelope.encoded_len()
            ))),
        }
    }
}

fn unsupported(feature: &'static str, limit: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported { feature, limit: limit.into() }, "core", "check")
}

/// Whether an ability is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It is kept.
    Yes,
    /// It is refused.
    No,
}

impl Support {
    /// Whether it is kept.
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }

    pub(crate) fn allows(self, feature: &'static str, wanted: bool) -> Result<()> {
        match wanted && self == Self::No {
            true => Err(unsupported(feature, "none on this connection")),
            false => Ok(()),
        }
    }
}

/// Which waits a store can keep. Waits are rounded up to the grain.
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
    /// Up to [`LONGEST`](crate::LONGEST).
    Any {
        /// The smallest step of a wait.
        grain: Duration,
    },
}

impl DelaySupport {
    /// The longest wait that is kept.
    pub fn max(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::UpTo { max, .. } => max,
            Self::Any { .. } => crate::LONGEST,
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
        match wanted <= self.max() {
            true => Ok(()),
            false => Err(unsupported(feature, self.to_string())),
        }
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
        /// Longest total from the reserve on, extensions included.
        max: Option<Duration>,
    },
    /// The loss of the connection, or a deadline that this process keeps.
    Connection {
        /// Longest total from the reserve on, extensions included.
        max: Option<Duration>,
    },
}

impl LeaseSupport {
    /// The longest total from the reserve on, if there is one.
    pub fn max(self) -> Option<Duration> {
        match self {
            Self::Timed { max, .. } | Self::Connection { max } => max,
        }
    }

    /// The smallest step of a lease; zero where the connection is the lease.
    pub fn grain(self) -> Duration {
        match self {
            Self::Timed { grain, .. } => grain,
            Self::Connection { .. } => Duration::ZERO,
        }
    }

    pub(crate) fn allows(self, lease: Duration) -> Result<()> {
        match self.max().is_some_and(|max| lease > max) || lease < self.grain() {
            true => Err(unsupported("lease", self.to_string())),
            false => Ok(()),
        }
    }
}

/// How a late outcome is told from a current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fence {
    /// An outcome counts exactly if nobody took the job since, also after the lease's end.
    Exact,
    /// As `Exact`, but an outcome after the lease's end is refused even if nobody took the job.
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
    /// Attempts above the job's own maximum are then taken for losses.
    Merged,
}

/// How strictly a more urgent job goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Priorities {
    /// Whatever is ready and more urgent is taken first.
    Strict,
    /// More urgent jobs are preferred, others may slip in between.
    BestEffort,
}

/// Whether sequential pushes start in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// One producer's sequential pushes to one queue and priority, never retried or released.
    Fifo,
    /// Usually, but not promised.
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
    /// An estimate of the ready jobs; the delayed and the reserved ones are unknown and given as zero.
    ReadyOnly,
}

/// What the dead letters can list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listing {
    /// Every letter, page by page.
    Exact,
    /// Some of them.
    Sampled,
    /// The connection has no dead letters to read.
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
