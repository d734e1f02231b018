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

/// What was reserved ahead may wait for a slot so long.
const IN_LINE_MAX: Duration = Duration::from_millis(100);
/// How long one starter goes on before others on its thread have their turn.
const TURN: Duration = Duration::from_micros(100);

/// Puts deliveries in line to run, each with a share; what a driver returned beyond the request comes back
/// after its lease.
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

/// Starts what is in line, for ever.
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
        match start(shared, job, free) {
            Started::Over(free, queue) => {
                slot = Some(free);
                finished.extend(queue);
            }
            Started::Runs => {}
        }
    };
    shared.shares.runs_ended(finished.len());
    // Woken at the end: on this thread it would wait behind what is started next.
    finished.iter().for_each(|queue| queue.wake_settler());
    why
}

/// What was reserved ahead and finds no slot is for others.
fn give_back(shared: &Shared) {
    while let Some(Admitted { queue, cx, share, .. }) = next(shared) {
        queue.end([&cx]);
        free_suspect(shared, &cx);
        queue.finish(Work::NotRun(cx.delivery()), Outcome::Release { after: Duration::ZERO }, share);
        queue.wake_settler();
    }
}

/// With its slot, if that is free again, and the queue of what has finished.
enum Started {
    Over(OwnedSemaphorePermit, Option<Arc<Queue>>),
    Runs,
}

fn next(shared: &Shared) -> Option<Admitted> {
    shared.line.lock().expect(UNPOISONED).pop_front()
}

fn start(shared: &Arc<Shared>, job: Admitted, slot: OwnedSemaphorePermit) -> Started {
    let cx = &job.cx;
    if cx.is_lost() || !shared.is_current(&cx.delivery()) {
        job.queue.end([cx]);
        shared.emit(&Event::LeaseLost { cx });
        free_suspect(shared, cx);
        return Started::Over(slot, None);
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
            return Started::Over(slot, Some(queue));
        }
    }
    tokio::spawn(run(shared.clone(), job, slot, begun, attempt));
    Started::Runs
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
    let queue = job.queue.clone();
    match result {
        Some(result) => finish(&shared, job, begun, result),
        None => {
            let outcome = Outcome::Release { after: Duration::ZERO };
            queue.finish(Work::Aborted { cx: job.cx, begun }, outcome, job.share);
        }
    }
    drop(slot);
    shared.shares.runs_ended(1);
    queue.wake_settler();
}

fn finish(shared: &Shared, job: Admitted, begun: Instant, result: JobResult) {
    let Admitted { queue, cx, runnable, share, .. } = job;
    let (outcome, failure) = match result {
        Ok(()) => (Outcome::Done, None),
        Err(error) => (judge(shared, &cx, &error), Some((error, runnable))),
    };
    queue.finish(Work::Ran { cx, begun, failure }, outcome, share);
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
