//! The life of a consumer from outside: start its tasks, and end them in order.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use super::{
    Stopped,
    fetch::Fetcher,
    lease, settle,
    shared::{Finished, Shared, UNPOISONED},
};

/// How long aborted jobs have to be given back, and the subscription to be closed: a second in all.
const GIVE_BACK: Duration = Duration::from_millis(600);
const CLOSE: Duration = Duration::from_millis(300);

/// Runs the tasks of a consumer until its fetcher ends, then ends the others.
pub(super) async fn supervise(
    shared: Arc<Shared>,
    fetcher: Fetcher,
    outcomes: Vec<mpsc::UnboundedReceiver<Finished>>,
) -> Stopped {
    for (queue, outcomes) in shared.queues.iter().zip(outcomes) {
        tokio::spawn(settle::settle(shared.clone(), queue.clone(), outcomes));
        tokio::spawn(lease::keep(shared.clone(), queue.clone()));
    }
    let subscription = fetcher.run().await;
    // A drain ends here as well: from now on handlers know that it ends.
    shared.stop.cancel();
    let is_over = all_slots_are_free(&shared, shared.settings.grace).await;
    if !is_over {
        abort_all(&shared);
        all_slots_are_free(&shared, GIVE_BACK).await;
    }
    let abandoned = shared.settings.workers - shared.slots.available_permits();
    shared.end.cancel();
    if let Some(subscription) = subscription {
        match timeout(CLOSE, subscription.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the subscription was not closed"),
            Err(_) => tracing::warn!("the subscription was not closed in time"),
        }
    }
    if abandoned > 0 {
        tracing::warn!(abandoned, "jobs were neither ended nor given back; their leases end them");
    }
    let (_, released) = *shared.tally.lock().expect(UNPOISONED);
    Stopped { released, abandoned: abandoned as u64 }
}

/// Each slot is free when its job has ended and the store has answered.
async fn all_slots_are_free(shared: &Shared, limit: Duration) -> bool {
    let all = shared.slots.acquire_many(shared.settings.workers as u32);
    timeout(limit, all).await.is_ok()
}

fn abort_all(shared: &Shared) {
    for run in shared.queues.iter().flat_map(|queue| queue.in_flight()) {
        if let Some(abort) = run.abort.get() {
            abort.abort();
        }
    }
}
