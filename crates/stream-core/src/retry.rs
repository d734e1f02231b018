//! How a delivery ends: pure decisions.

use crate::*;

/// Decides how a delivery ends; `attempt` counts from 1, `random` lies in 0..1.
///
/// A failure is a retry while attempts are left, then a burial.
pub fn decide(envelope: &Envelope, attempt: u32, result: Result<(), &JobError>, random: f64) -> Outcome {
    let Err(error) = result else { return Outcome::Done };
    let after = match error.verdict() {
        Verdict::Retry => envelope.backoff.delay(attempt, random),
        Verdict::RetryAfter(after) => after.min(LONGEST),
        Verdict::Release(after) => return Outcome::Release { after: after.min(LONGEST) },
        Verdict::Bury => return bury(error.to_string()),
    };
    match attempt < envelope.max_attempts {
        true => Outcome::Retry { after, error: cut(error.to_string()) },
        false => bury(error.to_string()),
    }
}

/// Buries a job lost `max_lost` times: it may have killed its workers.
pub fn too_often_lost(lost: u32, max_lost: u32) -> Option<Outcome> {
    (lost >= max_lost).then(|| bury(format!("lost {lost} times: its worker died or its lease ended")))
}

/// The envelope of what may run; else how it ends.
pub(crate) fn runnable(
    delivery: &Delivery,
    counts: Counts,
    max_lost: Option<u32>,
) -> Result<&Envelope, Outcome> {
    let envelope = delivery.envelope.as_ref().map_err(|undecodable| bury(undecodable.to_string()))?;
    // Where unstarted deliveries count, bystanders must not be buried.
    let max_lost = max_lost.unwrap_or(if counts == Counts::UnstartedMayCount { 20 } else { 5 });
    too_often_lost(losses(delivery, counts), max_lost).map_or(Ok(envelope), Err)
}

/// With one counter: what exceeds the job's attempts.
pub(crate) fn losses(delivery: &Delivery, counts: Counts) -> u32 {
    match (counts, &delivery.envelope) {
        (Counts::Merged, Ok(envelope)) => delivery.attempt.saturating_sub(envelope.max_attempts),
        _ => delivery.lost,
    }
}

pub(crate) fn bury(error: String) -> Outcome {
    Outcome::Bury { error: cut(error) }
}

/// It waits long enough for a rolling deploy.
#[cfg(any(feature = "worker", test))]
pub(crate) fn no_handler(envelope: &Envelope, attempt: u32, random: f64) -> Outcome {
    let wait = envelope.backoff.delay(attempt, random).max(std::time::Duration::from_secs(60));
    let error = JobError::retry_after(wait, format!("no handler is registered for `{}`", envelope.name));
    decide(envelope, attempt, Err(&error), random)
}

#[cfg(test)]
mod tests;
