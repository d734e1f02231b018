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

use super::*;

/// The longest wait in line for a slot.
const IN_LINE_MAX: Duration = Duration::from_millis(100);
/// Then others on the thread have their turn.
const TURN: Duration = Duration::from_micros(100);

/// Puts deliveries in line, each with a share; what is beyond the request comes back after its lease.
pub(super) fn admit(
    shared: &Shared,
    queue: &Arc<Queue>,
    deliveries: Vec<Arc<Delivery>>,
    shares: &mut OwnedSemaphorePermit,
) {
    let since = Instant::now();
    let mut line = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let Some(share) = shares.split(1) else { break };
        match find(shared, &delivery) {
            Ok(runnable) => {
                if shared.is_suspect(&delivery) {
                    shared.suspect_is_running.store(true, Ordering::Release);
                }
                let cx = Context::new(queue.home.clone(), delivery);
                line.push(Admitted { queue: queue.clone(), cx, runnable, share, since });
            }
            Err(outcome) => {
                queue.finish(Work::NotRun(delivery), outcome, share);
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

/// Starts what is in line.
///
/// A job that ends at its first poll needs no task of its own, which costs more than the rest of it.
pub(super) async fn start_jobs(shared: Arc<Shared>) {
    loop {
        match start_some(&shared) {
            Why::TurnIsOver => yield_now().await,
            Why::LineIsEmpty => shared.line_grew.notified().await,
            Why::NoSlot { since } => {
                let slot = timeout_at(since + IN_LINE_MAX, shared.slots.acquire());
                if !matches!(shared.stop.run_until_cancelled(slot).await, Some(Ok(_))) {
                    give_back(&shared);
                }
            }
        }
    }
}

/// Why a starter pauses.
enum Why {
    TurnIsOver,
    LineIsEmpty,
    NoSlot { since: Instant },
}

fn start_some(shared: &Arc<Shared>) -> Why {
    let begun = std::time::Instant::now();
    let mut finished = Vec::new();
    let mut slot = None;
    let why = loop {
        if begun.elapsed() > TURN {
            break Why::TurnIsOver;
        }
        slot = slot.or_else(|| shared.slots.clone().try_acquire_owned().ok());
        let Some(free) = slot.take() else {
            let line = shared.line.lock().expect(UNPOISONED);
            break line.front().map_or(Why::LineIsEmpty, |job| Why::NoSlot { since: job.since });
        };
        let Some(job) = next(shared) else { break Why::LineIsEmpty };
        let queue;
        (slot, queue) = start(shared, job, free);
        finished.extend(queue);
    };
    shared.shares.runs_ended(finished.len());
    // Woken at the end: on this thread it would wait behind what is started next.
    finished.iter().for_each(|queue| queue.wake_settler());
    why
}

/// What finds no slot is for others.
fn give_back(shared: &Shared) {
    while let Some(Admitted { queue, cx, share, .. }) = next(shared) {
        queue.end([&cx]);
        free_suspect(shared, &cx);
        queue.finish(Work::NotRun(cx.delivery()), Outcome::Release { after: Duration::ZERO }, share);
        queue.wake_settler();
    }
}

fn next(shared: &Shared) -> Option<Admitted> {
    shared.line.lock().expect(UNPOISONED).pop_front()
}

/// Gives the slot if it is free, the queue if the job has finished.
fn start(
    shared: &Arc<Shared>,
    job: Admitted,
    slot: OwnedSemaphorePermit,
) -> (Option<OwnedSemaphorePermit>, Option<Arc<Queue>>) {
    let cx = &job.cx;
    if cx.is_lost() || !shared.is_current(&cx.delivery()) {
        job.queue.end([cx]);
        shared.emit(&Event::LeaseLost { cx });
        free_suspect(shared, cx);
        return (Some(slot), None);
    }
    shared.emit(&Event::Started { cx });
    let begun = Instant::now();
    let mut attempt = Attempt::new(cx, &job.runnable);
    if job.runnable.pace.is_quick() {
        // If it is pending it is polled again at once, by the task that will be woken.
        let nobody = &mut std::task::Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = Pin::new(&mut attempt).poll(nobody) {
            return (Some(slot), Some(finish(shared, job, begun, Some(result))));
        }
    }
    tokio::spawn(run(shared.clone(), job, slot, begun, attempt));
    (None, None)
}

async fn run(
    shared: Arc<Shared>,
    job: Admitted,
    slot: OwnedSemaphorePermit,
    begun: Instant,
    attempt: Attempt,
) {
    let handled = async {
        let Some(limit) = job.cx.envelope().timeout else { return attempt.await };
        let too_long = |_| Err(JobError::retry(format!("timed out after {limit:?}")));
        timeout_at(begun + limit, attempt).await.unwrap_or_else(too_long)
    };
    let result = shared.abort.run_until_cancelled(handled).await;
    let queue = finish(&shared, job, begun, result);
    drop(slot);
    shared.shares.runs_ended(1);
    queue.wake_settler();
}

/// Without a result it was aborted.
fn finish(shared: &Shared, job: Admitted, begun: Instant, result: Option<JobResult>) -> Arc<Queue> {
    let Admitted { queue, cx, runnable, share, .. } = job;
    let (outcome, end) = match result {
        Some(Ok(())) => (Outcome::Done, End::Done),
        Some(Err(error)) => (judge(shared, &cx, &error), End::Failed(error, runnable)),
        None => (Outcome::Release { after: Duration::ZERO }, End::Aborted),
    };
    queue.finish(Work::Ran { cx, begun, end }, outcome, share);
    queue
}

fn judge(shared: &Shared, cx: &Context, error: &JobError) -> Outcome {
    let judge = |error: &JobError| decide(cx.envelope(), cx.attempt(), Err(error), random());
    // Showing the user's error may panic.
    let decided = catch(|| judge(error)).unwrap_or_else(|panic| judge(&JobError::retry(panic)));
    keepable(decided, shared.capabilities.retry_delay.max())
}

/// The handler at work, in the span of its job.
struct Attempt {
    caught: Caught<'static, JobResult>,
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
        Self { caught, span, pace: Some(runnable.pace.clone()) }
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
