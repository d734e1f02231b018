//! One delivery, from its admission to its outcome.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

use super::{
    Event,
    caught::Caught,
    shared::{Finished, Queue, Run, Shared, Unhandled, Work},
};
use crate::{
    Context, Delivery, JobError, Outcome, decide,
    handler::Runnable,
    random::random,
    retry::{self, bury},
};

/// Starts a delivery in a task of its own, or settles it unrun.
pub(super) fn admit(
    shared: &Arc<Shared>,
    queue: &Arc<Queue>,
    delivery: Arc<Delivery>,
    slot: OwnedSemaphorePermit,
) {
    let counts = shared.capabilities.counts;
    if let Some(outcome) = retry::unrunnable(&delivery, counts, shared.settings.max_lost) {
        return not_run(queue, delivery, outcome, slot);
    }
    let name = delivery.envelope.as_ref().map_or("", |envelope| &envelope.name);
    let Some(runnable) = shared.registry.find(name).cloned() else {
        let outcome = without_handler(shared.settings.unhandled, &delivery);
        return not_run(queue, delivery, outcome, slot);
    };
    let is_current = shared.driver.is_current(&delivery);
    let is_suspect = retry::losses(&delivery, counts) >= SUSPECT_FROM;
    let cx = Context::new(shared.manager.clone(), queue.name.clone(), delivery, shared.stop.clone());
    if !is_current {
        return shared.emit(&Event::LeaseLost { cx: &cx });
    }
    let run = Arc::new(Run::new(cx, is_suspect));
    if is_suspect {
        shared.suspect_is_running.store(true, Ordering::Release);
    }
    queue.begin(&run);
    let task = execute(shared.clone(), queue.clone(), run.clone(), runnable, slot);
    let abort = tokio::spawn(task).abort_handle();
    // Set once, here: the stop that aborts begins after the fetcher ended.
    let _only_set_here = run.abort.set(abort);
}

/// Whether the job is still in flight here: its lease had ended and we took it again ourselves.
///
/// It goes on under the new delivery. Where its old outcome has counted after all, it is over.
pub(super) fn runs_already(queue: &Queue, delivery: &Arc<Delivery>) -> bool {
    let Some(run) = delivery.id().and_then(|id| queue.find(id)) else { return false };
    let is_renewed = run.renew(delivery);
    if !is_renewed {
        run.cx.lose();
        queue.end(&run);
    }
    is_renewed
}

/// From this many losses on a delivery is run as the only suspect.
pub(super) const SUSPECT_FROM: u32 = 2;

fn not_run(queue: &Queue, delivery: Arc<Delivery>, outcome: Outcome, slot: OwnedSemaphorePermit) {
    send(queue, Finished { work: Work::NotRun(delivery), outcome, slot });
}

fn send(queue: &Queue, finished: Finished) {
    // It fails only when the settler has ended, at the very end of a stop: then the lease ends it.
    let _ = queue.finished.send(finished);
}

fn without_handler(unhandled: Unhandled, delivery: &Delivery) -> Outcome {
    match (&delivery.envelope, unhandled) {
        (Ok(envelope), Unhandled::Retry) => retry::no_handler(envelope, delivery.attempt, random()),
        (Ok(envelope), Unhandled::Bury) => bury(format!("no handler is registered for `{}`", envelope.name)),
        (Err(undecodable), _) => bury(&undecodable.reason),
    }
}

async fn execute(
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    run: Arc<Run>,
    runnable: Runnable,
    slot: OwnedSemaphorePermit,
) {
    let mut guard = Guard { queue, unfinished: Some((run.clone(), slot)) };
    shared.emit(&Event::Started { cx: &run.cx });
    let result = handle(&run.cx, runnable.clone()).await;
    let outcome = {
        let decided = decide(run.cx.envelope(), run.cx.attempt(), result.as_ref().copied(), random());
        keepable(decided, shared.capabilities.retry_delay.max())
    };
    let failure = result.err().map(|error| (error, runnable));
    guard.finish(|run| Work::Ran { run, failure }, outcome);
}

/// Runs the handler in its span, under its timeout, its panics caught.
async fn handle(cx: &Context, runnable: Runnable) -> Result<(), JobError> {
    let envelope = cx.envelope();
    let span = tracing::info_span!(
        "job", name = %envelope.name, id = %envelope.id, queue = %cx.queue(), attempt = cx.attempt()
    );
    let caught = Caught::new(runnable.handle(cx.clone())).instrument(span);
    let ended = match envelope.timeout {
        None => caught.await,
        Some(limit) => match tokio::time::timeout(limit, caught).await {
            Ok(ended) => ended,
            Err(_) => return Err(JobError::retry(format!("timed out after {limit:?}"))),
        },
    };
    ended.unwrap_or_else(|panic| Err(JobError::retry(panic)))
}

/// Cuts a wait that a handler asked for to the longest that the connection keeps, and says so.
fn keepable(outcome: Outcome, longest: Duration) -> Outcome {
    let cut = |after: Duration| {
        if after > longest {
            tracing::warn!(?after, ?longest, "the wait is cut to the longest that the connection keeps");
        }
        after.min(longest)
    };
    match outcome {
        Outcome::Retry { after, error } => Outcome::Retry { after: cut(after), error },
        Outcome::Release { after } => Outcome::Release { after: cut(after) },
        other => other,
    }
}

/// Sees to it that a delivery has an outcome however its task ends.
struct Guard {
    queue: Arc<Queue>,
    unfinished: Option<(Arc<Run>, OwnedSemaphorePermit)>,
}

impl Guard {
    fn finish(&mut self, work: impl FnOnce(Arc<Run>) -> Work, outcome: Outcome) {
        if let Some((run, slot)) = self.unfinished.take() {
            send(&self.queue, Finished { work: work(run), outcome, slot });
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.finish(|run| Work::Aborted { run }, Outcome::Release { after: Duration::ZERO });
    }
}
