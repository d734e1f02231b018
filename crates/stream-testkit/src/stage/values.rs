//! Jobs and outcomes for which only few of their fields matter, and the ids of many.

use std::time::Duration;

use stream_core::{Codec, Delivery, Envelope, JobId, NewJob, Outcome};

/// A plain job, ready at once.
pub fn plain_job() -> NewJob {
    NewJob::new(Envelope::new("case", Codec::Raw, b"payload".to_vec()))
}

/// Plain jobs, ready at once.
pub fn plain_jobs(count: usize) -> Vec<NewJob> {
    (0..count).map(|_| plain_job()).collect()
}

/// `Retry` at once.
pub fn retry_now() -> Outcome {
    Outcome::Retry { after: Duration::ZERO, error: "failed".into() }
}

/// `Retry` after a while.
pub fn retry_after(after: Duration) -> Outcome {
    Outcome::Retry { after, error: "failed".into() }
}

/// `Release` at once.
pub fn release_now() -> Outcome {
    Outcome::Release { after: Duration::ZERO }
}

/// `Release` after a while.
pub fn release_after(after: Duration) -> Outcome {
    Outcome::Release { after }
}

/// `Bury`.
pub fn bury() -> Outcome {
    Outcome::Bury { error: "buried".into() }
}

/// The ids of deliveries, sorted.
pub fn ids(deliveries: &[Delivery]) -> Vec<JobId> {
    sorted(deliveries.iter().map(|delivery| delivery.id().expect("an id")))
}

/// The ids of jobs, sorted.
pub fn job_ids(jobs: &[NewJob]) -> Vec<JobId> {
    sorted(jobs.iter().map(|job| job.envelope.id))
}

fn sorted(ids: impl Iterator<Item = JobId>) -> Vec<JobId> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort();
    ids
}
