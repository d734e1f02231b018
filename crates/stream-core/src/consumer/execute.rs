//! One delivery, from its admission to its outcome.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::OwnedSemaphorePermit,
    task::yield_now,
    time::{Instant, timeout_at},
};
use tracing::Span;

use super::{
    Event,
    caught::{Caught, catch},
    queue::{Admitted, Queue, Work},
    settle::free_suspect,
    shared::Shared,
};
use crate::{
    Context, Delivery, JobError, JobResult, Outcome, decide,
    handler::{Pace, Runnable, UNPOISONED},
    random::random,
    retry::no_handler,
};

/// How long one starter goes on before others on its thread have their turn.
const TURN: Duration = Duration::from_micros(100);

/// Puts deliveries in line to run, each in a slot; what a driver returned beyond the request comes back
/// after its lease.
pub(super) fn admit(
    shared: &Shared,
    queue: &Arc<Queue>,
    deliveries: Vec<Arc<Delivery>>,
    slots: &mut OwnedSemaphorePermit,
) {
    let mut line = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let Some(slot) = slots.split(1) else { break };
        match find(shared, &delivery) {
            Ok(runnable) => {
                if shared.is_suspect(&delivery) {
                    shared.suspect_is_running.store(true, Ordering::Release);
                }
                let cx = Context::new(queue.home.clone(), delivery);
                line.push(Admitted { queue: queue.clone(), cx, runnable, slot });
            }
            Err(outcome) => {
                queue.finish(Work::NotRun(delivery), outcome, slot);
                queue.wake_settler();
            }
        }
    }
    queue.begin(&line);
    let count = line.len();
    shared.line.lock().expect(UNPOISONED).extend(line);
    // Each starter may be blocked by what it starts.
    (0..count.min(shared.starters)).for_each(|_| shared.line_grew.notify_one());
}

/// The code for a delivery; else its outcome.
fn find(shared: &Shared, delivery: &Delivery) -> Result<Runnable, Outcome> {
    let envelope = shared.runnable(delivery)?;
    let unhandled = || match no_handler(envelope, delivery.attempt, random()) {
        Outcome::Retry { error, .. } if shared.settings.buries_unhandled => Outcome::Bury { error },
        outcome => outcome,
    };
    shared.registry.get(&*envelope.name).cloned().ok_or_else(unhandled)
}

/// Starts what is in line, for ever.
///
/// A job that ends at its first poll needs no task of its own, which costs more than the rest of it.
pub(super) async fn start_jobs(shared: Arc<Shared>) {
    loop {
        match start_some(&shared) {
            true => yield_now().await,
            false => shared.line_grew.notified().await,
        }
    }
}

/// Says whether more may be in line.
fn start_some(shared: &Arc<Shared>) -> bool {
    let begun = std::time::Instant::now();
    let mut finished = Vec::new();
    let mut is_late = false;
    while !is_late && let Some(job) = next(shared) {
        finished.extend(start(shared, job));
        is_late = begun.elapsed() > TURN;
    }
    // Woken at the end: on this thread it would wait behind what is started next.
    finished.iter().for_each(|queue| queue.wake_settler());
    is_late
}

fn next(shared: &Shared) -> Option<Admitted> {
    shared.line.lock().expect(UNPOISONED).pop_front()
}

/// Gives its queue if it has finished already.
fn start(shared: &Arc<Shared>, job: Admitted) -> Option<Arc<Queue>> {
    let cx = &job.cx;
    if cx.is_lost() || !shared.driver.is_current(&cx.delivery()) {
        job.queue.end([cx]);
        shared.emit(&Event::LeaseLost { cx });
        free_suspect(shared, cx);
        return None;
    }
    shared.emit(&Event::Started { cx });
    let begun = Instant::now();
    let mut attempt = Attempt::new(cx, &job.runnable);
    if job.runnable.pace().is_quick() {
        // If it is pending it is polled again at once, by the task that will be woken.
        let nobody = &mut std::task::Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = Pin::new(&mut attempt).poll(nobody) {
            let queue = job.queue.clone();
            finish(shared, job, begun, result);
            return Some(queue);
        }
    }
    tokio::spawn(run(shared.clone(), job, begun, attempt));
    None
}

async fn run(shared: Arc<Shared>, job: Admitted, begun: Instant, attempt: Attempt) {
    let handled = async {
        let Some(limit) = job.cx.envelope().timeout else { return attempt.await };
        let too_long = |_| Err(JobError::retry(format!("timed out after {limit:?}")));
        timeout_at(begun + limit, attempt).await.unwrap_or_else(too_long)
    };
    let result = shared.abort.run_until_cancelled(handled).await;
    let queue = job.queue.clone();
    match result {
        Some(result) => finish(&shared, job, begun, result),
        None => {
            let outcome = Outcome::Release { after: Duration::ZERO };
            queue.finish(Work::Aborted { cx: job.cx, begun }, outcome, job.slot);
        }
    }
    queue.wake_settler();
}

fn finish(shared: &Shared, job: Admitted, begun: Instant, result: JobResult) {
    let Admitted { queue, cx, runnable, slot } = job;
    let (outcome, failure) = match result {
        Ok(()) => (Outcome::Done, None),
        Err(error) => (judge(shared, &cx, &error), Some((error, runnable))),
    };
    queue.finish(Work::Ran { cx, begun, failure }, outcome, slot);
}

fn judge(shared: &Shared, cx: &Context, error: &JobError) -> Outcome {
    let judge = |error: &JobError| decide(cx.envelope(), cx.attempt(), Err(error), random());
    // Showing the user's error may panic.
    let decided = catch(|| judge(error)).unwrap_or_else(|panic| judge(&JobError::retry(panic)));
    keepable(decided, shared.capabilities.retry_delay.max())
}

/// The handler at work, in the span of its job.
struct Attempt {
    caught: Caught<JobResult>,
    span: Span,
    /// Told how long the first poll takes.
    pace: Option<Arc<Pace>>,
}

impl Attempt {
    fn new(cx: &Context, runnable: &Runnable) -> Self {
        let envelope = cx.envelope();
        let traceparent = envelope.headers.get("traceparent").map(String::as_str);
        let span = tracing::info_span!(
            "job", name = %envelope.name, id = %envelope.id, queue = %cx.queue(), attempt = cx.attempt(), traceparent
        );
        let caught = Caught::new(runnable.handle(cx.clone()));
        Self { caught, span, pace: Some(runnable.pace().clone()) }
    }
}

impl Future for Attempt {
    type Output = JobResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<JobResult> {
        let Self { caught, span, pace } = &mut *self;
        let _in_span = span.enter();
        let measured = pace.take().map(|pace| (pace, std::time::Instant::now()));
        let polled = Pin::new(caught).poll(cx);
        if let Some((pace, begun)) = measured {
            pace.note(begun.elapsed());
        }
        polled.map(|ended| ended.unwrap_or_else(|panic| Err(JobError::retry(panic))))
    }
}

fn keepable(mut outcome: Outcome, longest: Duration) -> Outcome {
    if let Outcome::Retry { after, .. } | Outcome::Release { after } = &mut outcome
        && *after > longest
    {
        tracing::warn!(?after, ?longest, "the wait is cut to the longest of the connection");
        *after = longest;
    }
    outcome
}
