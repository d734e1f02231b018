//! How many jobs may be in flight, so that no worker waits for the store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::*;

/// A slower store is not helped by a hoard.
const TRIP_MAX: Duration = Duration::from_millis(50);

/// A share is held from the reserve until the settlement is answered.
pub(super) struct Shares {
    pub(super) free: Arc<Semaphore>,
    workers: usize,
    ahead: AtomicUsize,
    ahead_max: usize,
    ended: AtomicU64,
    settle_us: AtomicU64,
}

impl Shares {
    pub(super) fn new(settings: &Settings, capabilities: &Capabilities) -> Self {
        let workers = settings.workers;
        let is_free_to_return = capabilities.counts == Counts::Exact;
        let is_timed = matches!(capabilities.lease, LeaseSupport::Timed { .. });
        // A lone worker keeps the order of pushes.
        let may_go_ahead = workers > 1 && is_timed && is_free_to_return;
        let ahead_max = if may_go_ahead { capabilities.batch } else { 0 };
        let (ahead, ended, settle_us) = Default::default();
        Self { free: Arc::new(Semaphore::new(workers)), workers, ahead, ahead_max, ended, settle_us }
    }

    pub(super) fn all(&self) -> usize {
        self.workers + self.ahead.load(Relaxed)
    }

    pub(super) fn taken(&self) -> usize {
        self.all() - self.free.available_permits()
    }

    pub(super) fn runs_ended(&self, count: usize) {
        self.ended.fetch_add(count as u64, Relaxed);
    }

    pub(super) fn settled_within(&self, took: Duration) {
        self.settle_us.store(took.as_micros() as u64, Relaxed);
    }
}

/// What the fetcher measures.
pub(super) struct Pulse {
    looked_at: Instant,
    ended: u64,
    pub(super) reserve_took: Duration,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self { looked_at: Instant::now(), ended: 0, reserve_took: Duration::ZERO }
    }

    /// Sets how many more than workers may be in flight; takes a share that is too many.
    pub(super) fn adjust(
        &mut self,
        shares: &Shares,
        share: OwnedSemaphorePermit,
    ) -> Option<OwnedSemaphorePermit> {
        let trip = self.reserve_took + Duration::from_micros(shares.settle_us.load(Relaxed));
        let within = self.looked_at.elapsed();
        if within <= trip || trip.is_zero() {
            return Some(share);
        }
        let (before, ended) = (self.ended, shares.ended.load(Relaxed));
        (self.looked_at, self.ended) = (Instant::now(), ended);
        let now = shares.ahead.load(Relaxed);
        // It falls by halves at most, unless the measure is long.
        let least = if within < TRIP_MAX { now / 2 } else { 0 };
        let wanted = ahead(ended - before, within, trip).max(least).min(shares.ahead_max);
        drop(share);
        shares.free.add_permits(wanted.saturating_sub(now));
        let forgotten = shares.free.forget_permits(now.saturating_sub(wanted));
        shares.ahead.store(now.max(wanted) - forgotten, Relaxed);
        shares.free.clone().try_acquire_owned().ok()
    }
}

/// What ends during a trip, twice: then the next answer comes before the line is empty.
fn ahead(ended: u64, within: Duration, trip: Duration) -> usize {
    let trips = trip.min(TRIP_MAX).as_secs_f64() / within.as_secs_f64();
    (2.0 * ended as f64 * trips) as usize
}

#[cfg(test)]
mod tests;
