//! What becomes of a job that ran: pure decisions, no clock, no I/O.

use std::time::Duration;

use crate::{Counts, Delivery, Envelope, JobError, Outcome, Verdict, limits};

/// Decides how a delivery ends: `attempt` counts from 1, `random` lies in 0..1.
///
/// A retry is decided while attempts are left; the job is buried with the last error otherwise.
///
/// ```
/// use stream_core::{Draft, JobError, Outcome, decide};
///
/// let envelope = Draft::named("resize", &7).max_attempts(2).into_job()?.envelope;
/// assert_eq!(decide(&envelope, 1, Ok(()), 0.5), Outcome::Done);
///
/// let error = JobError::retry("disk full");
/// assert!(matches!(decide(&envelope, 1, Err(&error), 0.5), Outcome::Retry { .. }));
/// assert!(matches!(decide(&envelope, 2, Err(&error), 0.5), Outcome::Bury { .. }));
/// # Ok::<(), stream_core::Error>(())
/// ```
pub fn decide(envelope: &Envelope, attempt: u32, result: Result<(), &JobError>, random: f64) -> Outcome {
    let Err(error) = result else { return Outcome::Done };
    let after = match error.verdict() {
        Verdict::Retry => envelope.backoff.delay(attempt, random),
        Verdict::RetryAfter(after) => after.min(limits::LONGEST),
        Verdict::Release(after) => return Outcome::Release { after: after.min(limits::LONGEST) },
        Verdict::Bury => return bury(error.to_string()),
    };
    match attempt < envelope.max_attempts {
        true => Outcome::Retry { after, error: limits::cut(&error.to_string()).to_owned() },
        false => bury(error.to_string()),
    }
}

/// The outcome of a job that must not run again because it was lost too often, if it was.
///
/// `max_lost` is judged, never `attempt`: a job that keeps killing its worker must not kill another.
pub fn too_often_lost(lost: u32, max_lost: u32) -> Option<Outcome> {
    (lost >= max_lost).then(|| {
        bury(format!(
            "lost {lost} times: each time its worker died, or its lease ended, before the job had an outcome"
        ))
    })
}

/// How often a job may be lost before it is buried unrun, if nothing else is set.
///
/// More where deliveries count that were never started: bystanders must not be buried.
pub(crate) fn max_lost(counts: Counts) -> u32 {
    match counts {
        Counts::UnstartedMayCount => 20,
        Counts::Exact | Counts::Merged => 5,
    }
}

/// The outcome of a delivery that cannot or must not be run, if it is one.
pub(crate) fn unrunnable(delivery: &Delivery, counts: Counts, max_lost: u32) -> Option<Outcome> {
    match &delivery.envelope {
        Err(undecodable) => Some(bury(undecodable.to_string())),
        Ok(_) => too_often_lost(losses(delivery, counts), max_lost),
    }
}

/// How often a delivery was lost; where the store has one counter, what exceeds the attempts it may have.
pub(crate) fn losses(delivery: &Delivery, counts: Counts) -> u32 {
    match (counts, &delivery.envelope) {
        (Counts::Merged, Ok(envelope)) => delivery.attempt.saturating_sub(envelope.max_attempts),
        _ => delivery.lost,
    }
}

pub(crate) fn bury(error: impl AsRef<str>) -> Outcome {
    Outcome::Bury { error: limits::cut(error.as_ref()).to_owned() }
}

/// How long a job waits for which no handler is registered: long enough for a rolling deploy.
#[cfg_attr(not(feature = "worker"), allow(dead_code, reason = "the consumer's half uses it"))]
pub(crate) fn no_handler(envelope: &Envelope, attempt: u32, random: f64) -> Outcome {
    const AT_LEAST: Duration = Duration::from_secs(60);
    let wait = envelope.backoff.delay(attempt, random).max(AT_LEAST);
    let error = JobError::retry_after(wait, format!("no handler is registered for `{}`", envelope.name));
    decide(envelope, attempt, Err(&error), random)
}

#[cfg(test)]
mod tests;
