//! How an operation failed, and how a job failed.

use std::{error::Error as StdError, fmt, iter::successors, sync::Arc, time::Duration};

use crate::*;

/// Any error of another crate.
pub type BoxError = Box<dyn StdError + Send + Sync>;
/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure; act on its [`kind`](Self::kind). Cheap to clone.
///
/// Keep payloads, receipts and credentials out of it.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    driver: &'static str,
    operation: &'static str,
    detail: Option<String>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store did not do it; ask again: no connection, busy, shutting down, full.
    Unavailable,
    /// The answer was lost: the store may have done it. Ask again.
    OutcomeUnknown,
    /// The delivery is over: settled, or its lease ended and it was taken over.
    LeaseLost,
    /// The connection does not promise this: use another or ask for less.
    Unsupported {
        /// The ability, such as `push delay`.
        feature: &'static str,
        /// What it does promise, such as `up to 15 minutes`.
        limit: String,
    },
    /// The job is wrong: too large, not serialisable, an illegal name, key or duration.
    InvalidJob,
    /// A setting is wrong: change it.
    Config,
    /// Anything else.
    Unexpected,
}

impl Error {
    /// An error of a driver, such as `redis`, in an operation.
    pub fn new(kind: ErrorKind, driver: &'static str, operation: &'static str) -> Self {
        Self(Arc::new(Inner { kind, driver, operation, detail: None, source: None }))
    }

    /// Says what was wrong and what to do.
    #[must_use]
    pub fn explained(mut self, detail: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).detail = Some(detail.into());
        self
    }

    /// Keeps the error below as `source`.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::from(source.into()));
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Whether to ask again: `Unavailable` or `OutcomeUnknown`.
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::OutcomeUnknown)
    }

    pub(crate) fn config(operation: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, "core", operation).explained(detail)
    }

    pub(crate) fn invalid_job(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidJob, "core", "push").explained(detail)
    }
}

pub(crate) fn ensure(holds: bool, error: impl FnOnce() -> Error) -> Result<()> {
    holds.then_some(()).ok_or_else(error)
}

pub(crate) fn unanswered<T>(driver: &'static str, operation: &'static str) -> Result<T> {
    Err(Error::new(ErrorKind::Unexpected, driver, operation).explained("the driver gave no answer"))
}

/// The answer to a batch of one.
pub(crate) fn only<T>(
    mut answers: Vec<Result<T>>,
    driver: &dyn Driver,
    operation: &'static str,
) -> Result<T> {
    answers.pop().unwrap_or_else(|| unanswered(driver.name(), operation))
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome unknown",
            Self::LeaseLost => "lease lost",
            Self::Unsupported { feature, limit } => {
                return write!(f, "{feature} is unsupported beyond: {limit}");
            }
            Self::InvalidJob => "invalid job",
            Self::Config => "wrong setting",
            Self::Unexpected => "unexpected",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, driver, operation, detail, .. } = &*self.0;
        write!(f, "{driver}: {operation} failed: {kind}")?;
        detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        successors(self.source(), |&cause| cause.source()).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Some jobs of a `push_many` were not stored; the others were.
#[derive(Debug, Clone)]
pub struct PushManyError {
    results: Vec<Result<Pushed>>,
}

impl PushManyError {
    pub(crate) fn new(results: Vec<Result<Pushed>>) -> Self {
        Self { results }
    }

    /// The answer for each job, in their order.
    pub fn results(&self) -> &[Result<Pushed>] {
        &self.results
    }

    /// The places and errors of the jobs that were not stored.
    pub fn failed(&self) -> impl Iterator<Item = (usize, &Error)> {
        self.results.iter().enumerate().filter_map(|(at, result)| Some((at, result.as_ref().err()?)))
    }
}

impl fmt::Display for PushManyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} jobs were not stored", self.failed().count(), self.results.len())?;
        self.failed().next().map_or(Ok(()), |(at, error)| write!(f, ", the first at {at}: {error}"))
    }
}

impl StdError for PushManyError {}

impl From<PushManyError> for Error {
    /// The first error, with the whole answer as its source.
    fn from(error: PushManyError) -> Self {
        let kind = error.failed().next().map_or(ErrorKind::Unexpected, |(_, first)| first.kind().clone());
        Self::new(kind, "core", "push many").explained(error.to_string()).caused_by(error)
    }
}

/// How a job failed and what becomes of it.
///
/// `?` on any error means a retry; for another verdict: `.map_err(JobError::bury)?`.
pub struct JobError {
    verdict: Verdict,
    error: BoxError,
}

/// What becomes of a job that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Again after the job's backoff, or buried when its attempts are used up.
    Retry,
    /// The same after this time.
    RetryAfter(Duration),
    /// To the dead letters at once.
    Bury,
    /// Again after this time, counting no attempt.
    Release(Duration),
}

impl JobError {
    /// Again after the job's backoff, as `?`.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self { verdict: Verdict::Retry, error: error.into() }
    }

    /// Again after this time instead of the job's backoff.
    pub fn retry_after(after: Duration, error: impl Into<BoxError>) -> Self {
        Self { verdict: Verdict::RetryAfter(after), error: error.into() }
    }

    /// To the dead letters at once.
    pub fn bury(error: impl Into<BoxError>) -> Self {
        Self { verdict: Verdict::Bury, error: error.into() }
    }

    /// Again at once, counting no attempt.
    pub fn release() -> Self {
        Self::release_after(Duration::ZERO)
    }

    /// Again after this time, counting no attempt.
    pub fn release_after(after: Duration) -> Self {
        Self { verdict: Verdict::Release(after), error: "released".into() }
    }

    /// What becomes of the job.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The error, or the first of its sources, that is an `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        let first: &(dyn StdError + 'static) = &*self.error;
        successors(Some(first), |&cause| cause.source()).find_map(|cause| cause.downcast_ref())
    }
}

impl<E: Into<BoxError>> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

impl fmt::Display for JobError {
    /// The error and its sources: `could not send: connection refused`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.error.to_string();
        for cause in successors(self.error.source(), |&cause| cause.source()) {
            let text = cause.to_string();
            if !shown.contains(&text) {
                shown = shown + ": " + &text;
            }
        }
        f.write_str(&shown)
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.verdict)
    }
}

#[cfg(test)]
mod tests;
