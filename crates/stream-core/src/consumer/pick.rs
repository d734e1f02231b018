//! Which queue is asked next: fair, weighted or strictly in order.

use std::time::Duration;

use tokio::time::Instant;

pub(super) struct Picker {
    queues: Vec<Known>,
    is_strict: bool,
}

#[derive(Default)]
struct Known {
    weight: i64,
    /// Smooth weighted round robin: what it is owed.
    credit: i64,
    may_have_work: bool,
    not_before: Option<Instant>,
    failures: u32,
}

impl Known {
    fn can_go(&self, now: Instant) -> bool {
        self.may_have_work && self.not_before.is_none_or(|then| then <= now)
    }
}

const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The pause after `failures` in a row, from 1; `random` lies in 0..1.
pub(super) fn pause(failures: u32, random: f64) -> Duration {
    let doubled = PAUSE_FIRST * 2_u32.pow(failures.saturating_sub(1).min(10));
    doubled.min(PAUSE_MAX).mul_f64(0.5 + 0.5 * random)
}

impl Picker {
    pub(super) fn new(weights: impl IntoIterator<Item = u32>, is_strict: bool) -> Self {
        let known = |weight: u32| Known { weight: weight.into(), may_have_work: true, ..Known::default() };
        Self { queues: weights.into_iter().map(known).collect(), is_strict }
    }

    /// `None` if all are known empty or pausing.
    pub(super) fn next(&mut self, now: Instant) -> Option<usize> {
        if self.is_strict {
            return self.queues.iter().position(|known| known.can_go(now));
        }
        let mut total = 0;
        let mut best: Option<usize> = None;
        for at in 0..self.queues.len() {
            if !self.queues[at].can_go(now) {
                continue;
            }
            total += self.queues[at].weight;
            self.queues[at].credit += self.queues[at].weight;
            if best.is_none_or(|best| self.queues[at].credit > self.queues[best].credit) {
                best = Some(at);
            }
        }
        self.queues[best?].credit -= total;
        best
    }

    pub(super) fn has_next(&self, now: Instant) -> bool {
        self.queues.iter().any(|known| known.can_go(now))
    }

    pub(super) fn is_empty(&mut self, at: usize) {
        self.queues[at].may_have_work = false;
        // An idle queue saves no credit up.
        self.queues[at].credit = 0;
    }

    pub(super) fn may_have_work(&mut self, at: usize) {
        self.queues[at].may_have_work = true;
    }

    pub(super) fn all_may_have_work(&mut self) {
        self.queues.iter_mut().for_each(|known| known.may_have_work = true);
    }

    /// Says whether that ends an outage.
    pub(super) fn answered(&mut self, at: usize) -> bool {
        let known = &mut self.queues[at];
        known.not_before = None;
        std::mem::take(&mut known.failures) > 0
    }

    /// Says whether an outage begins.
    pub(super) fn failed(&mut self, at: usize, now: Instant, random: f64) -> bool {
        let known = &mut self.queues[at];
        known.failures = known.failures.saturating_add(1);
        known.not_before = Some(now + pause(known.failures, random));
        known.failures == 1
    }

    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.queues.iter().filter(|known| known.may_have_work).filter_map(|known| known.not_before).min()
    }

    pub(super) fn knows_an_empty_one(&self) -> bool {
        self.queues.iter().any(|known| !known.may_have_work)
    }
}

#[cfg(test)]
mod tests;
