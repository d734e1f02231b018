//! The waits between the attempts of a job.

use std::{borrow::Cow, time::Duration};

use crate::*;

/// The waits between the attempts of a job.
///
/// They are kept to the millisecond, rounded up.
///
/// ```
/// use std::time::Duration;
/// use stream_core::Backoff;
///
/// let backoff = Backoff::exponential(Duration::from_secs(5), 2.0).jitter(0.0);
/// assert_eq!(backoff.delay(1, 0.5), Duration::from_secs(5));
/// assert_eq!(backoff.delay(3, 0.5), Duration::from_secs(20));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    pub(crate) first: Duration,
    pub(crate) factor: f64,
    pub(crate) list: Option<Cow<'static, [Duration]>>,
    pub(crate) max: Duration,
    pub(crate) jitter: f64,
}

impl Backoff {
    /// 1 second, doubled up to 1 hour, ±10 %: 25 attempts take half a day.
    pub const DEFAULT: Self = Self::exponential(Duration::from_secs(1), 2.0);

    /// `first`, then each wait `factor` times the one before, up to 1 hour, ±10 %.
    pub const fn exponential(first: Duration, factor: f64) -> Self {
        Self { first, factor, list: None, max: Duration::from_secs(3600), jitter: 0.1 }
    }

    /// The same wait each time, ±10 %; above 1 hour it needs [`Self::up_to`].
    pub const fn fixed(every: Duration) -> Self {
        Self::exponential(every, 1.0)
    }

    /// These waits in turn, then the last again and again, ±10 %.
    pub fn list(delays: impl Into<Vec<Duration>>) -> Self {
        Self::listed(Cow::Owned(delays.into()))
    }

    /// [`Backoff::list`] for a constant.
    pub const fn list_const(delays: &'static [Duration]) -> Self {
        Self::listed(Cow::Borrowed(delays))
    }

    const fn listed(list: Cow<'static, [Duration]>) -> Self {
        Self { first: Duration::ZERO, factor: 1.0, list: Some(list), max: LONGEST, jitter: 0.1 }
    }

    /// Caps each wait, jitter included.
    #[must_use]
    pub const fn up_to(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Spreads each wait by up to this part of it, 0 to 1, both ways.
    #[must_use]
    pub const fn jitter(mut self, part: f64) -> Self {
        self.jitter = part;
        self
    }

    /// The wait after a failed attempt, from 1; `random` lies in 0..1.
    ///
    /// Any values give a wait of at most the cap.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let round = attempt.saturating_sub(1);
        let base = match &self.list {
            Some(list) => list.get(round as usize).or(list.last()).map_or(0.0, Duration::as_secs_f64),
            // Zero times infinity is no number.
            None => self.first.as_secs_f64() * self.factor.powf(round.into()).min(f64::MAX),
        };
        let spread = 1.0 + self.jitter * (2.0 * random - 1.0);
        self.capped(base.min(self.max.as_secs_f64()) * spread)
    }

    /// The longest wait it can give.
    pub fn longest(&self) -> Duration {
        let base = match &self.list {
            Some(list) => list.iter().max().copied().unwrap_or_default(),
            None if self.factor > 1.0 && !self.first.is_zero() => self.max,
            None => self.first,
        };
        self.capped(base.as_secs_f64() * (1.0 + self.jitter.clamp(0.0, 1.0)))
    }

    fn capped(&self, secs: f64) -> Duration {
        // Too large, or no number: wait the cap, never less.
        Duration::try_from_secs_f64(secs).unwrap_or(self.max).min(self.max).min(LONGEST)
    }

    /// Refuses values that cannot be meant.
    ///
    /// # Errors
    /// `InvalidJob` for a factor outside 1 to 1,000,000, a jitter outside 0 to 1, a cap above [`LONGEST`],
    /// a wait above the cap, a list of none or more than 64.
    pub fn validate(&self) -> Result<()> {
        self.problem().map_or(Ok(()), |problem| Err(Error::invalid_job(problem)))
    }

    /// `const`, so that the compiler checks `Job::BACKOFF`.
    pub(crate) const fn problem(&self) -> Option<&'static str> {
        if !(self.factor >= 1.0 && self.factor <= 1e6) {
            return Some("backoff: the factor must be from 1 to 1,000,000");
        }
        if !(self.jitter >= 0.0 && self.jitter <= 1.0) {
            return Some("backoff: the jitter must be from 0 to 1");
        }
        if self.max.as_nanos() > LONGEST.as_nanos() {
            return Some("backoff: the cap must be at most 2^28-1 seconds");
        }
        let waits = match &self.list {
            None => std::slice::from_ref(&self.first),
            Some(Cow::Borrowed(list)) => list,
            Some(Cow::Owned(list)) => list.as_slice(),
        };
        // Each job carries its list.
        if waits.is_empty() || waits.len() > 64 {
            return Some("backoff: a list must have 1 to 64 waits");
        }
        let mut at = 0;
        while at < waits.len() {
            if waits[at].as_nanos() > self.max.as_nanos() {
                return Some("backoff: a wait is above the cap; raise it with `up_to`");
            }
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests;
