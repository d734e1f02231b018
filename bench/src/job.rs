//! The jobs that are worked in a measurement, and the same as bare bytes for the raw loops.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use stream_core::{Backoff, Context, Draft, Handlers, Job, JobError, NewJob, QueueName};

use crate::exact::Ledger;

/// About the size of every payload: that of the measurements that the floors come from.
pub(crate) const PAYLOAD_BYTES: usize = 200;
/// What brings a `Numbered` to that size.
const PADDING: &str = match std::str::from_utf8(&[b'x'; PAYLOAD_BYTES - 22]) {
    Ok(padding) => padding,
    Err(_) => "",
};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    NoOp,
    /// Sleeps for a millisecond.
    OneMs,
    /// Fails at its first attempt, and is retried without a wait.
    FailsOnce,
}

/// A job with its number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    padding: String,
}

impl Job for Numbered {
    const NAME: &'static str = "numbered";
}

/// A job that says when it was pushed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stamped {
    pub(crate) number: u64,
    /// Since 1970, by the clock that all processes of this machine share.
    pub(crate) at_ns: u64,
}

impl Job for Stamped {
    const NAME: &'static str = "stamped";
}

impl Numbered {
    pub(crate) fn new(number: u64) -> Self {
        Self { number, padding: PADDING.to_owned() }
    }

    /// With what its kind asks for.
    pub(crate) fn draft_for(self, queue: &QueueName, kind: Kind) -> Draft {
        let draft = self.draft().on_queue(queue);
        match kind {
            Kind::FailsOnce => draft.backoff(Backoff::fixed(Duration::ZERO)),
            Kind::NoOp | Kind::OneMs => draft,
        }
    }
}

impl Stamped {
    pub(crate) fn now(number: u64) -> Self {
        Self { number, at_ns: now_ns() }
    }

    pub(crate) fn age_ns(&self) -> u64 {
        now_ns().saturating_sub(self.at_ns)
    }
}

fn now_ns() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64)
}

/// Jobs 0 to `count` as a driver takes them.
pub(crate) fn new_jobs(queue: &QueueName, count: usize, kind: Kind) -> Result<Vec<NewJob>> {
    let job = |number| Numbered::new(number).draft_for(queue, kind).into_job();
    (0..count as u64).map(job).collect::<stream_core::Result<_>>().context("a job cannot be made")
}

/// Works jobs of a kind and takes each down when it is done.
pub(crate) fn handlers(kind: Kind, done: Arc<Ledger>) -> Handlers {
    Handlers::new().register::<Numbered>(move |job: Numbered, cx: Context| {
        let done = done.clone();
        async move {
            match kind {
                Kind::NoOp => {}
                Kind::OneMs => tokio::time::sleep(Duration::from_millis(1)).await,
                Kind::FailsOnce if cx.attempt() == 1 => return Err(JobError::retry("fails once")),
                Kind::FailsOnce => {}
            }
            done.note(job.number);
            Ok(())
        }
    })
}

/// The bytes of a job for a raw loop: number, attempt, padding.
pub(crate) fn raw_job(number: u64) -> Vec<u8> {
    let mut bytes = vec![b'x'; PAYLOAD_BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8] = 0;
    bytes
}

/// The number of a job of a raw loop.
pub(crate) fn raw_number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(u64::MAX, |number| u64::from_le_bytes(*number))
}

/// Runs a job of a raw loop: false if it failed and is to be put back.
pub(crate) async fn raw_run(bytes: &mut [u8], kind: Kind) -> bool {
    match kind {
        Kind::NoOp => true,
        Kind::OneMs => {
            tokio::time::sleep(Duration::from_millis(1)).await;
            true
        }
        Kind::FailsOnce => {
            bytes[8] += 1;
            bytes[8] > 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_payloads_have_the_size_that_is_printed() {
        let queue = QueueName::new("q").unwrap();
        for number in [0, u64::MAX] {
            let job = Numbered::new(number).draft_for(&queue, Kind::NoOp).into_job().unwrap();
            let bytes = job.envelope.payload.len();
            assert!(bytes.abs_diff(PAYLOAD_BYTES) <= 5, "{bytes}");
        }
        assert_eq!(raw_job(7).len(), PAYLOAD_BYTES);
    }

    #[test]
    fn a_raw_job_keeps_its_number_while_it_fails_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut job = raw_job(77);
            assert!(!raw_run(&mut job, Kind::FailsOnce).await);
            assert!(raw_run(&mut job, Kind::FailsOnce).await);
            assert_eq!(raw_number(&job), 77);
        });
    }
}
