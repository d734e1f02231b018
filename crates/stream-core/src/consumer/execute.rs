//! One delivery, from its admission to its outcome.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

use super::{
    Event,
    caught::{Caught, catch},
    shared::{Queue, Run, Shared, Work},
};
use crate::{
    Context, Delivery, JobError, JobResult, Outcome, decide, handler::Runnable, random::random,
    retry::no_handler,
};

pub(super) fn admit(
    shared: &Arc<Shared>,
    queue: &Arc<Queue>,
    delivery: Arc<Delivery>,
    slot: OwnedSemaphorePermit,
) {
    let runnable = match find(shared, &delivery) {
        Ok(runnable) => runnable,
        Err(outcome) => return queue.finish(Work::NotRun(delivery), outcome, slot),
    };
    let is_current = shared.driver.is_current(&delivery);
    let is_suspect = shared.is_suspect(&delivery);
    let cx = Context::new(shared.manager.clone(), queue.name.clone(), delivery, shared.stop.clone());
    if !is_current {
        return shared.emit(&Event::LeaseLost { cx: &cx });
    }
    if is_suspect {
        shared.suspect_is_running.store(true, Ordering::Release);
    }
    let run = Arc::new(Run::new(cx, is_suspect));
    queue.begin(&run);
    tokio::spawn(execute(shared.clone(), queue.clone(), run, runnable, slot));
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

/// Whether it still runs here: it goes on under this delivery, taken again after its lease.
///
/// Where its old outcome may have counted, the old run is over.
pub(super) fn runs_already(queue: &Queue, delivery: &Arc<Delivery>) -> bool {
    let Some(run) = delivery.id().and_then(|id| queue.find(id)) else { return false };
    let is_renewed = run.renew(delivery);
    if !is_renewed {
        run.cx.lose();
        queue.end(&run);
    }
    is_renewed
}

async fn execute(
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    run: Arc<Run>,
    runnable: Runnable,
    slot: OwnedSemaphorePermit,
) {
    shared.emit(&Event::Started { cx: &run.cx });
    let handled = handle(&run.cx, runnable.clone());
    let Some(result) = shared.abort.run_until_cancelled(handled).await else {
        return queue.finish(Work::Aborted { run }, Outcome::Release { after: Duration::ZERO }, slot);
    };
    let judge =
        |result: &JobResult| decide(run.cx.envelope(), run.cx.attempt(), result.as_ref().copied(), random());
    // Showing the user's error may panic.
    let decided = catch(|| judge(&result)).unwrap_or_else(|panic| judge(&Err(JobError::retry(panic))));
    let outcome = keepable(decided, shared.capabilities.retry_delay.max());
    let failure = result.err().map(|error| (error, runnable));
    queue.finish(Work::Ran { run, failure }, outcome, slot);
}

async fn handle(cx: &Context, runnable: Runnable) -> JobResult {
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

fn keepable(mut outcome: Outcome, longest: Duration) -> Outcome {
    if let Outcome::Retry { after, .. } | Outcome::Release { after } = &mut outcome
        && *after > longest
    {
        tracing::warn!(?after, ?longest, "the wait is cut to the longest of the connection");
        *after = longest;
    }
    outcome
}
