//! Keeps the leases of what is in flight.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::*;

/// How often the driver is asked what is over: no I/O.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn keep(shared: Arc<Shared>, queue: Arc<Queue>) {
    let every = shared.settings.lease / 3;
    let mut extend_at = Instant::now() + every;
    loop {
        if queue.in_flight().is_empty() {
            queue.work_began.notified().await;
            extend_at = Instant::now() + every;
            continue;
        }
        tokio::time::sleep_until(extend_at.min(Instant::now() + LOOK)).await;
        // Its wake may wait behind a handler that blocks a thread.
        queue.wake_settler();
        let in_flight = current(&shared, &queue);
        if Instant::now() < extend_at {
            continue;
        }
        let late = extend_at.elapsed();
        if late > every {
            tracing::warn!(queue = %queue.name(), ?late, "leases are extended late: is the runtime blocked?");
        }
        extend_at = Instant::now() + extend(&shared, &queue, &in_flight, every).await;
    }
}

/// What is still ours; the others are told.
fn current(shared: &Shared, queue: &Queue) -> Vec<Context> {
    let mut in_flight = queue.in_flight();
    in_flight.retain(|cx| {
        let delivery = cx.delivery();
        let is_current = !cx.is_lost() && shared.is_current(&delivery);
        // It may be renewed while we look.
        if !is_current && Arc::ptr_eq(&cx.delivery(), &delivery) {
            cx.lose();
        }
        is_current
    });
    in_flight
}

/// Says when to do it again.
async fn extend(shared: &Shared, queue: &Queue, in_flight: &[Context], every: Duration) -> Duration {
    let mut again = every;
    for jobs in in_flight.chunks(shared.capabilities.batch.max(1)) {
        let deliveries: Vec<_> = jobs.iter().map(Context::delivery).collect();
        let borrowed: Vec<&Delivery> = deliveries.iter().map(|delivery| &**delivery).collect();
        let asked = shared.driver.extend(queue.name(), &borrowed, shared.settings.lease);
        let answers = Caught::new(asked).await.unwrap_or_default();
        for (answer, (cx, delivery)) in answers.into_iter().zip(jobs.iter().zip(&deliveries)) {
            match answer.as_ref().map_err(Error::kind) {
                Ok(()) => {}
                Err(ErrorKind::LeaseLost) if Arc::ptr_eq(&cx.delivery(), delivery) => cx.lose(),
                // Two thirds of the lease are left.
                Err(_) => again = pause(1, random()).min(every),
            }
        }
    }
    again
}
