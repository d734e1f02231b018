//! What the tasks of one consumer share.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool},
    time::Duration,
};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::*;

const SUSPECT_FROM: u32 = 2;

pub(super) type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) workers: usize,
    pub(super) lease: Duration,
    pub(super) grace: Duration,
    pub(super) max_lost: Option<u32>,
    pub(super) buries_unhandled: bool,
    pub(super) is_strict: bool,
}

pub(super) struct Shared {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) capabilities: Capabilities,
    pub(super) registry: Registry,
    pub(super) settings: Settings,
    pub(super) queues: Vec<Arc<Queue>>,
    /// One for each job that runs.
    pub(super) slots: Arc<Semaphore>,
    pub(super) shares: Shares,
    /// Jobs that have not begun.
    pub(super) line: Mutex<VecDeque<Admitted>>,
    pub(super) line_grew: Notify,
    pub(super) starters: usize,
    pub(super) suspect_is_running: AtomicBool,
    pub(super) listeners: Vec<Listener>,
    pub(super) stop: CancellationToken,
    /// Ends what still runs after the grace period.
    pub(super) abort: CancellationToken,
    pub(super) settled: Notify,
    /// And how many were aborted.
    pub(super) tally: Mutex<(Drained, u64)>,
}

impl Shared {
    pub(super) async fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        let names: Vec<QueueName> = self.queues.iter().map(|queue| queue.name().clone()).collect();
        self.caught(self.driver.subscribe(&names)).await
    }

    /// A driver that panics gives no answer.
    pub(super) async fn caught<T>(
        &self,
        asked: Pin<Box<dyn Future<Output = Result<T>> + Send + '_>>,
    ) -> Result<T> {
        Caught::new(asked).await.unwrap_or_else(|_| unanswered(self.driver.name(), "consume"))
    }

    pub(super) fn is_current(&self, delivery: &Delivery) -> bool {
        catch(|| self.driver.is_current(delivery)).unwrap_or(true)
    }

    pub(super) fn runnable<'a>(&self, delivery: &'a Delivery) -> Result<&'a Envelope, Outcome> {
        retry::runnable(delivery, self.capabilities.counts, self.settings.max_lost)
    }

    /// It may have killed its workers: it runs beside no other suspect.
    pub(super) fn is_suspect(&self, delivery: &Delivery) -> bool {
        losses(delivery, self.capabilities.counts) >= SUSPECT_FROM && self.runnable(delivery).is_ok()
    }

    pub(super) fn emit(&self, event: &Event<'_>) {
        for listener in &self.listeners {
            if let Err(panic) = catch(|| listener(event)) {
                tracing::error!(%panic, "a listener panicked");
            }
        }
    }

    pub(super) fn unavailable(&self, queue: &QueueName, error: &Error, is_new: bool) {
        if is_new {
            tracing::warn!(%queue, %error, "the store does not answer; asking again");
        }
        self.emit(&Event::Unavailable { queue, error });
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, (Drained, u64)> {
        self.tally.lock().expect(UNPOISONED)
    }
}
