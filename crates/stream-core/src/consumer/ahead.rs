//! How many jobs are reserved ahead of free slots: as few as hide the round trips to the store.

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

use super::shared::Settings;
use crate::{Capabilities, Counts, LeaseSupport};

/// A store slower than this is not helped by a hoard.
const TRIP_MAX: Duration = Duration::from_millis(50);

/// What may be in flight, from the reserve until the store has answered the settlement.
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

/// The fetcher's measure of its consumer.
pub(super) struct Pulse {
    looked_at: Instant,
    ended: u64,
    pub(super) reserve_took: Duration,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self { looked_at: Instant::now(), ended: 0, reserve_took: Duration::ZERO }
    }

    /// Sets how many jobs more than workers may be in flight; takes the share that is too many.
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
        // It falls by halves, unless the measure is a long one.
        let least = if within < TRIP_MAX { now / 2 } else { 0 };
        let wanted = ahead(ended - before, within, trip).max(least).min(shares.ahead_max);
        shares.free.add_permits(wanted.saturating_sub(now));
        let left = now - shares.free.forget_permits(now.saturating_sub(wanted));
        if left <= wanted {
            shares.ahead.store(wanted, Relaxed);
            return Some(share);
        }
        shares.ahead.store(left - 1, Relaxed);
        share.forget();
        None
    }
}

/// What ends during a trip, twice: then the next answer comes before the line is empty.
///
/// Where nothing ends nothing is taken ahead, to wait for slots that long jobs hold.
fn ahead(ended: u64, within: Duration, trip: Duration) -> usize {
    let trips = trip.min(TRIP_MAX).as_secs_f64() / within.as_secs_f64();
    (2.0 * ended as f64 * trips) as usize
}

#[cfg(test)]
mod tests;
