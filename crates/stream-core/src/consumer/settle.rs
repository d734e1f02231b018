//! Settles what has finished since the last call, until the store has answered for each.

use std::{
    iter::repeat_with,
    sync::{Arc, atomic::Ordering},
};

use super::{
    Event,
    caught::{Caught, catch},
    pick::pause,
    shared::{Finished, Queue, Shared, Work},
};
use crate::{
    Delivery, Error, ErrorKind, Outcome, Settlement, error::unanswered, random::random, retry::bury,
};

/// How often a store that is there may refuse an outcome.
const HARD_ERRORS_MAX: u32 = 5;

pub(super) async fn settle(shared: Arc<Shared>, queue: Arc<Queue>) {
    let mut pending = Vec::new();
    let mut failures = 0_u32;
    loop {
        // Natural batching: what has finished since the last call.
        let room = shared.capabilities.batch.max(1).saturating_sub(pending.len());
        pending.extend(queue.take_finished(room));
        let is_lost = |one: &mut Finished| one.work.run().is_some_and(|run| run.cx.is_lost());
        pending.extract_if(.., is_lost).for_each(|one| lost(&shared, &queue, one));
        if pending.is_empty() {
            failures = 0;
            queue.work_ended.notified().await;
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
    let answers = shared.driver.settle(&queue.name, &settlements).await.into_iter();
    let answers = answers.chain(repeat_with(|| unanswered(shared.driver.name(), "settle")));
    let mut again = Vec::new();
    let mut outage = None;
    for ((mut one, delivery), answer) in pending.into_iter().zip(&deliveries).zip(answers) {
        match answer {
            Ok(()) => report(shared, queue, one),
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
                tracing::error!(queue = %queue.name, %error, "an outcome cannot be written; the lease ends it");
                answer_is_lost(&one.work);
                lost(shared, queue, one);
            }
        }
    }
    if let Some(error) = outage {
        shared.unavailable(&queue.name, &error, is_new);
    }
    shared.settled.notify_waiters();
    again
}

fn is_renewed(one: &Finished, settled: &Arc<Delivery>) -> bool {
    one.work.run().is_some_and(|run| !run.cx.is_lost() && !Arc::ptr_eq(&run.delivery(), settled))
}

/// Whether to ask again after this error, and with which outcome.
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
    if let Some(run) = work.run() {
        run.is_unknown.store(true, Ordering::Release);
    }
}

/// The outcome counts. The slot is free after `failed`.
fn report(shared: &Shared, queue: &Queue, finished: Finished) {
    let Finished { work, outcome, slot, .. } = finished;
    over(shared, queue, &work);
    shared.count(&outcome);
    shared.emit(&match &work {
        Work::NotRun(delivery) => Event::NotRun { queue: &queue.name, delivery, outcome: &outcome },
        Work::Ran { run, .. } | Work::Aborted { run } => {
            Event::Settled { cx: &run.cx, outcome: &outcome, ran: run.begun.elapsed() }
        }
    });
    match work {
        Work::Aborted { .. } => shared.tally().1 += 1,
        Work::Ran { run, failure: Some((error, runnable)) } if matches!(outcome, Outcome::Bury { .. }) => {
            let cx = run.cx.clone();
            tokio::spawn(async move {
                let failed = Caught::new(async move { runnable.failed(&error, cx).await });
                if let Err(panic) = failed.await {
                    tracing::error!(%panic, "`failed` panicked");
                }
                drop(slot);
            });
        }
        work => discard(work),
    }
}

/// The outcome counts for nothing, or nobody knows whether it does.
fn lost(shared: &Shared, queue: &Queue, one: Finished) {
    over(shared, queue, &one.work);
    if let Some(run) = one.work.run() {
        shared.emit(&match run.is_unknown.load(Ordering::Acquire) {
            true => Event::OutcomeUnconfirmed { cx: &run.cx },
            false => Event::LeaseLost { cx: &run.cx },
        });
    }
    discard(one.work);
}

/// Drops the user's error, whose destructor may panic.
fn discard(work: Work) {
    let _ = catch(|| drop(work));
}

fn over(shared: &Shared, queue: &Queue, work: &Work) {
    let Some(run) = work.run() else { return };
    queue.end(run);
    if run.is_suspect {
        shared.suspect_is_running.store(false, Ordering::Release);
    }
}
