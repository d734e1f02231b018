//! Settles what has finished, until the store has answered for each.

use std::{
    iter::repeat_with,
    sync::{Arc, atomic::Ordering},
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::*;

/// How often a store may refuse an outcome.
const HARD_ERRORS_MAX: u32 = 5;

pub(super) async fn settle(shared: Arc<Shared>, queue: Arc<Queue>) {
    let mut pending = Vec::new();
    let mut failures = 0_u32;
    loop {
        // Natural batching: what has finished since the last call.
        let room = shared.capabilities.batch.max(1).saturating_sub(pending.len());
        pending.extend(queue.take_finished(room));
        let is_lost = |one: &mut Finished| one.work.cx().is_some_and(Context::is_lost);
        pending.extract_if(.., is_lost).for_each(|one| lost(&shared, &queue, one));
        if pending.is_empty() {
            failures = 0;
            queue.work_ended().await;
            // What ends at this moment goes along: a lone outcome waits one turn of the runtime.
            tokio::task::yield_now().await;
            continue;
        }
        pending = settle_once(&shared, &queue, pending, failures == 0).await;
        if pending.is_empty() {
            failures = 0;
        } else {
            failures = failures.saturating_add(1);
            tokio::time::sleep(pause(failures, random())).await;
        }
    }
}

/// Gives what must be asked again.
async fn settle_once(shared: &Shared, queue: &Queue, pending: Vec<Finished>, is_new: bool) -> Vec<Finished> {
    let deliveries: Vec<_> = pending.iter().map(|one| one.work.delivery()).collect();
    let pairs = deliveries.iter().zip(&pending);
    let settlements: Vec<_> = pairs.map(|(delivery, one)| Settlement::new(delivery, &one.outcome)).collect();
    let asked_at = Instant::now();
    let asked = Caught::new(shared.driver.settle(queue.name(), &settlements)).await;
    shared.shares.settled_within(asked_at.elapsed());
    // A panic is no answer.
    let answers = asked
        .unwrap_or_default()
        .into_iter()
        .chain(repeat_with(|| unanswered(shared.driver.name(), "settle")));
    let mut again = Vec::new();
    let mut outage = None;
    let mut counted = Vec::with_capacity(pending.len());
    for ((mut one, delivery), answer) in pending.into_iter().zip(&deliveries).zip(answers) {
        match answer {
            Ok(()) => counted.push(one),
            Err(error) if error.kind() == &ErrorKind::LeaseLost => match is_renewed(&one, delivery) {
                // We took it again meanwhile: the outcome goes to that delivery.
                true => again.push(one),
                false => lost(shared, queue, one),
            },
            Err(error) if can_be_repeated(&mut one, &error) => {
                outage.get_or_insert(error);
                again.push(one);
            }
            Err(error) => {
                tracing::error!(queue = %queue.name(), %error, "an outcome cannot be written; the lease ends it");
                answer_is_lost(&one.work);
                lost(shared, queue, one);
            }
        }
    }
    report(shared, queue, counted);
    if let Some(error) = outage {
        shared.unavailable(queue.name(), &error, is_new);
    }
    shared.settled.notify_waiters();
    again
}

fn is_renewed(one: &Finished, settled: &Arc<Delivery>) -> bool {
    one.work.cx().is_some_and(|cx| !cx.is_lost() && !Arc::ptr_eq(&cx.delivery(), settled))
}

/// Whether to ask again, and with which outcome.
fn can_be_repeated(one: &mut Finished, error: &Error) -> bool {
    match error.kind() {
        ErrorKind::OutcomeUnknown => answer_is_lost(&one.work),
        ErrorKind::Unavailable => {}
        // The store cannot keep this wait: it is neither shortened nor lost.
        ErrorKind::Unsupported { .. } if matches!(one.outcome, Outcome::Retry { .. }) => {
            one.outcome = bury(format!("the retry was refused: {error}"));
        }
        _ => one.hard_errors += 1,
    }
    one.hard_errors < HARD_ERRORS_MAX
}

fn answer_is_lost(work: &Work) {
    if let Some(cx) = work.cx() {
        cx.answer_is_lost();
    }
}

/// The outcomes count.
fn report(shared: &Shared, queue: &Queue, counted: Vec<Finished>) {
    queue.end(counted.iter().filter_map(|one| one.work.cx()));
    let mut tally = shared.tally();
    for one in &counted {
        tally.0.add(&one.outcome);
        tally.1 += u64::from(matches!(one.work, Work::Ran { end: End::Aborted, .. }));
    }
    drop(tally);
    let mut free: Option<OwnedSemaphorePermit> = None;
    for Finished { work, outcome, share, .. } in counted {
        work.cx().inspect(|cx| free_suspect(shared, cx));
        shared.emit(&match &work {
            Work::NotRun(delivery) => Event::NotRun { queue: queue.name(), delivery, outcome: &outcome },
            Work::Ran { cx, begun, .. } => Event::Settled { cx, outcome: &outcome, ran: begun.elapsed() },
        });
        match work {
            Work::Ran { cx, end: End::Failed(error, runnable), .. }
                if matches!(outcome, Outcome::Bury { .. }) =>
            {
                tokio::spawn(failed(cx, error, runnable, share));
            }
            work => {
                discard(work);
                // Given back together: each alone would take the lock of them all.
                match &mut free {
                    Some(free) => free.merge(share),
                    None => free = Some(share),
                }
            }
        }
    }
}

async fn failed(cx: Context, error: JobError, runnable: Runnable, share: OwnedSemaphorePermit) {
    let failed = Caught::new(Box::pin(async move { runnable.failed(&error, cx).await }));
    if let Err(panic) = failed.await {
        tracing::error!(%panic, "`failed` panicked");
    }
    drop(share);
}

/// The outcome counts for nothing, or may have counted.
fn lost(shared: &Shared, queue: &Queue, one: Finished) {
    if let Some(cx) = one.work.cx() {
        queue.end([cx]);
        free_suspect(shared, cx);
        shared.emit(&match cx.is_unknown() {
            true => Event::OutcomeUnconfirmed { cx },
            false => Event::LeaseLost { cx },
        });
    }
    discard(one.work);
}

/// The destructor of the user's error may panic.
fn discard(work: Work) {
    let _ = catch(|| drop(work));
}

/// Lets the next suspect run, after the one.
pub(super) fn free_suspect(shared: &Shared, cx: &Context) {
    if shared.is_suspect(cx.first_delivery()) {
        shared.suspect_is_running.store(false, Ordering::Release);
    }
}
