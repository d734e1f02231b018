//! Code for jobs.

mod context;
mod registry;

use std::sync::Arc;

use crate::*;

pub use context::*;
pub use registry::*;

/// What a handler answers; `?` on any error means a retry with backoff.
pub type JobResult = Result<(), JobError>;

/// Code for a job; state is `self`.
///
/// Implement it, or pass an `async fn(job, cx) -> JobResult`. A panic or a timeout is a retry. Its
/// future is dropped only at a timeout or the end of the grace period.
///
/// ```
/// # use serde::{Serialize, Deserialize};
/// # use stream_core::*;
/// # #[derive(Serialize, Deserialize)] struct Charge { cents: u64 }
/// # impl Job for Charge { const NAME: &'static str = "charge"; }
/// struct App { limit: u64 }
///
/// impl Handler<Charge> for App {
///     async fn handle(&self, job: Charge, cx: Context) -> JobResult {
///         if job.cents > self.limit {
///             return Err(JobError::bury("above the limit"));
///         }
///         Ok(())
///     }
/// }
///
/// let handlers = Handlers::new().register::<Charge>(App { limit: 10_000 });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle the job `{J}`",
    note = "write `impl Handler<{J}> for ...`, or pass an `async fn(job: {J}, cx: Context) -> JobResult`"
)]
pub trait Handler<J>: Send + Sync + 'static {
    /// Runs one attempt of the job.
    fn handle(&self, job: J, cx: Context) -> impl Future<Output = JobResult> + Send;

    /// Called after a burial, by the process that did it.
    ///
    /// At most once per burial; not after a crash in between, nor for a payload that is no `J`.
    fn failed(&self, job: J, error: &JobError, cx: Context) -> impl Future<Output = ()> + Send {
        let _ = (job, error, cx);
        async {}
    }
}

impl<J: Send, H: Handler<J>> Handler<J> for Arc<H> {
    fn handle(&self, job: J, cx: Context) -> impl Future<Output = JobResult> + Send {
        (**self).handle(job, cx)
    }

    fn failed(&self, job: J, error: &JobError, cx: Context) -> impl Future<Output = ()> + Send {
        (**self).failed(job, error, cx)
    }
}

impl<J, F, R> Handler<J> for F
where
    F: Fn(J, Context) -> R + Send + Sync + 'static,
    R: Future<Output = JobResult> + Send,
{
    fn handle(&self, job: J, cx: Context) -> impl Future<Output = JobResult> + Send {
        self(job, cx)
    }
}

/// A job that carries its own code: `Handlers::register_job::<J>()`.
pub trait SelfHandling: Job {
    /// Runs one attempt.
    fn handle(self, cx: Context) -> impl Future<Output = JobResult> + Send;

    /// As [`Handler::failed`].
    fn failed(self, error: &JobError, cx: Context) -> impl Future<Output = ()> + Send {
        let _ = (error, cx);
        async {}
    }
}
