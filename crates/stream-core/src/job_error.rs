//! How a job failed.

use std::{error::Error as StdError, fmt, iter::successors, time::Duration};

use crate::BoxError;

/// How a job failed and what becomes of it.
///
/// `?` converts any error into a retry; for another verdict: `.map_err(JobError::bury)?`.
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
