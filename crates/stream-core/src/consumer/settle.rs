//! Settles what has finished since the last call, until the store has answered for each.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::mpsc;

use super::{
    Event,
    caught::Caught,
    pick::pause,
    shared::{Finished, Queue, Shared, UNPOISONED, Work},
};
use crate::{Delivery, Error, ErrorKind, Outcome, Result, Settlement, random::random, retry::bury};

/// A store that keeps answering with an error that is not its own absence is asked this often.
const HARD_ERRORS_MAX: u32 = 5;

struct Pending {
    finished: Finished,
    /// An earlier call may have settled it.
    is_unknown: bool,
    hard_errors: u32,
}

impl Pending {
    fn answer_is_lost(&mut self) {
        self.is_unknown = true;
        if let Some(run) = self.finished.work.run() {
            run.is_unknown.store(true, Ordering::Release);
        }
    }
}

/// The settler of one queue. Ends with `shared.end`; what it then still holds its lease ends.
pub(super) async fn settle(
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    mut outcomes: mpsc::UnboundedReceiver<Finished>,
) {
    let ended = shared.end.clone();
    tokio::select! {
        () = ended.cancelled() => {}
        () = settle_all(&shared, &queue, &mut outcomes) => {}
    }
}

async fn settle_all(
    shared: &Arc<Shared>,
    queue: &Arc<Queue>,
    outcomes: &mut mpsc::UnboundedReceiver<Finished>,
) {
    let mut pending: Vec<Pending> = Vec::new();
    let mut failures = 0_u32;
    loop {
        if pending.is_empty() {
            let Some(finished) = outcomes.recv().await else { return };
            accept(shared, queue, &mut pending, finished);
        }
        // Natural batching: whatever has finished since the last call, without waiting for more.
        while pending.len() < shared.capabilities.batch {
            let Ok(finished) = outcomes.try_recv() else { break };
            accept(shared, queue, &mut pending, finished);
        }
        if pending.is_empty() {
            continue;
        }
        pending = settle_once(shared, queue, pending, failures == 0).await;
        failures = if pending.is_empty() { 0 } else { failures.saturating_add(1) };
        if failures > 0 {
            tokio::time::sleep(pause(failures, random())).await;
        }
    }
}

/// Takes a finished delivery in; one whose lease is known lost is over.
fn accept(shared: &Shared, queue: &Queue, pending: &mut Vec<Pending>, finished: Finished) {
    match finished.work.run() {
        Some(run) if run.cx.is_lost() => lost(shared, queue, &finished, false),
        _ => pending.push(Pending { finished, is_unknown: false, hard_errors: 0 }),
    }
}

/// One call of the driver; what must be asked again.
async fn settle_once(
    shared: &Arc<Shared>,
    queue: &Arc<Queue>,
    pending: Vec<Pending>,
    is_new: bool,
) -> Vec<Pending> {
    let deliveries: Vec<_> = pending.iter().map(|one| one.finished.work.delivery()).collect();
    let settlements: Vec<_> = deliveries
        .iter()
        .zip(&pending)
        .map(|(delivery, one)| Settlement::new(delivery, &one.finished.outcome))
        .collect();
    let mut answers = shared.driver.settle(&queue.name, &settlements).await.into_iter();
    let mut again = Vec::new();
    let mut outage: Option<Error> = None;
    for (mut one, delivery) in pending.into_iter().zip(&deliveries) {
        let unanswered = || Err(Error::new(ErrorKind::Unexpected, shared.driver.name(), "settle"));
        match judge(answers.next().unwrap_or_else(unanswered), &mut one) {
            Judged::Settled => report(shared, queue, one.finished),
            // The job was taken again by ourselves meanwhile: the outcome goes to that delivery.
            Judged::Over if is_renewed(&one, delivery) => again.push(one),
            Judged::Over => lost(shared, queue, &one.finished, one.is_unknown),
            Judged::GivenUp(error) => {
                tracing::error!(queue = %queue.name, %error, "an outcome cannot be written; the lease ends it");
                lost(shared, queue, &one.finished, true);
            }
            Judged::Again(error) => {
                outage.get_or_insert(error);
                again.push(one);
            }
        }
    }
    if let Some(error) = outage {
        shared.unavailable(&queue.name, &error, is_new);
    }
    shared.settled.notify_waiters();
    again
}

fn is_renewed(one: &Pending, settled: &Arc<Delivery>) -> bool {
    one.finished.work.run().is_some_and(|run| !run.cx.is_lost() && !Arc::ptr_eq(&run.delivery(), settled))
}

enum Judged {
    Settled,
    Over,
    Again(Error),
    GivenUp(Error),
}

fn judge(answer: Result<()>, one: &mut Pending) -> Judged {
    let Err(error) = answer else { return Judged::Settled };
    match error.kind() {
        ErrorKind::LeaseLost => return Judged::Over,
        ErrorKind::OutcomeUnknown => one.answer_is_lost(),
        ErrorKind::Unavailable => {}
        // A wait that the store cannot keep for this delivery: neither shortened nor lost.
        ErrorKind::Unsupported { .. } if matches!(one.finished.outcome, Outcome::Retry { .. }) => {
            one.finished.outcome = bury(format!("the retry was refused: {error}"));
        }
        _ => one.hard_errors += 1,
    }
    match one.hard_errors < HARD_ERRORS_MAX {
        true => Judged::Again(error),
        false => Judged::GivenUp(error),
    }
}

/// The outcome counts: report it, then call `failed` for a burial. The slot is free after that.
fn report(shared: &Arc<Shared>, queue: &Queue, finished: Finished) {
    let Finished { work, outcome, slot } = finished;
    over(shared, queue, &work);
    shared.count(&outcome);
    match work {
        Work::Ran { run, failure } => {
            shared.emit(&Event::Settled { cx: &run.cx, outcome: &outcome, ran: run.begun.elapsed() });
            if let (Outcome::Bury { .. }, Some((error, runnable))) = (&outcome, failure) {
                let cx = run.cx.clone();
                tokio::spawn(async move {
                    let failed = Caught::new(async move { runnable.failed(&error, cx).await });
                    if let Err(panic) = failed.await {
                        tracing::error!(%panic, "`failed` of a buried job panicked");
                    }
                    drop(slot);
                });
            }
        }
        Work::Aborted { run } => {
            shared.tally.lock().expect(UNPOISONED).1 += 1;
            shared.emit(&Event::Settled { cx: &run.cx, outcome: &outcome, ran: run.begun.elapsed() });
        }
        Work::NotRun(delivery) => {
            shared.emit(&Event::NotRun { queue: &queue.name, delivery: &delivery, outcome: &outcome });
        }
    }
}

/// The outcome counts for nothing, or nobody knows whether it does.
fn lost(shared: &Shared, queue: &Queue, finished: &Finished, is_unknown: bool) {
    over(shared, queue, &finished.work);
    let Some(run) = finished.work.run() else { return };
    match is_unknown {
        true => shared.emit(&Event::OutcomeUnconfirmed { cx: &run.cx }),
        false => shared.emit(&Event::LeaseLost { cx: &run.cx }),
    }
}

fn over(shared: &Shared, queue: &Queue, work: &Work) {
    let Some(run) = work.run() else { return };
    queue.end(run);
    if run.is_suspect {
        shared.suspect_is_running.store(false, Ordering::Release);
    }
}
