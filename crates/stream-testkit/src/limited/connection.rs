//! One connection: pushes, and the ends of deliveries, as the limits say.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use stream_core::{
    Counts, Delivery, Driver, Error, ErrorKind, Fence, JobId, LeaseSupport, NewJob, Outcome, Pushed,
    QueueName, Result, Settlement,
};
use tokio::time::Instant;

use super::{
    Limits,
    book::{Book, Lent, later},
};

/// A lease that ends at once.
const OVER: Duration = Duration::from_millis(1);

/// What the parts of a limited driver share.
pub(super) struct Connection {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) limits: Limits,
    pub(super) book: Arc<Book>,
    pub(super) number: u64,
    pub(super) is_closed: AtomicBool,
}

impl Connection {
    pub(super) async fn push(&self, queue: &QueueName, job: &NewJob) -> Result<Pushed> {
        let promised = &self.limits.capabilities;
        promised.allows(job)?;
        let mut job = job.clone();
        job.delay = rounded_up(job.delay, promised.push_delay.grain());
        let pushed = self.push_below(queue, &job).await?;
        let Pushed::AlreadyStored(original) = pushed else { return Ok(pushed) };
        if promised.repeated_push.is_yes() {
            return Ok(pushed);
        }
        // Nobody looks whether the id is there: it is a job beside the first.
        job.envelope.id = JobId::new();
        self.book.note_copy(job.envelope.id, original);
        self.push_below(queue, &job).await?;
        Ok(Pushed::Stored(original))
    }

    async fn push_below(&self, queue: &QueueName, job: &NewJob) -> Result<Pushed> {
        self.driver.push(queue, std::slice::from_ref(job)).await.remove(0)
    }

    pub(super) async fn settle(
        &self,
        queue: &QueueName,
        delivery: &Delivery,
        outcome: &Outcome,
    ) -> Result<()> {
        let lent = self.lent(queue, delivery, "settle")?;
        let outcome = self.limited(outcome)?;
        let answer = self.settle_below(queue, &lent.delivery, &outcome).await;
        if !is_lease_lost(&answer) {
            if answer.is_ok() {
                self.book.end(queue, &delivery.receipt);
            }
            return answer;
        }
        self.book.end(queue, &delivery.receipt);
        if self.limits.capabilities.fence != Fence::BestEffort {
            return answer;
        }
        // A late answer is taken for that of whoever has the job now.
        match self.book.successor(queue, &lent) {
            Some(current) => {
                self.book.end(queue, &current.delivery.receipt);
                self.settle_below(queue, &current.delivery, &outcome).await
            }
            None => answer,
        }
    }

    async fn settle_below(&self, queue: &QueueName, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
        self.driver.settle(queue, &[Settlement::new(delivery, outcome)]).await.remove(0)
    }

    /// What becomes of an outcome: its wait in the steps of the store, and a release that its counter counts.
    fn limited(&self, outcome: &Outcome) -> Result<Outcome> {
        let promised = self.limits.capabilities.retry_delay;
        let mut outcome = outcome.clone();
        if let Outcome::Retry { after, .. } | Outcome::Release { after } = &mut outcome {
            if *after > promised.max() {
                return Err(unsupported("retry delay", promised.to_string(), "settle"));
            }
            *after = rounded_up(*after, promised.grain());
        }
        Ok(match outcome {
            Outcome::Release { after } if self.limits.capabilities.counts == Counts::Merged => {
                Outcome::Retry { after, error: String::new() }
            }
            other => other,
        })
    }

    pub(super) async fn extend(&self, queue: &QueueName, delivery: &Delivery, lease: Duration) -> Result<()> {
        let lent = self.lent(queue, delivery, "extend")?;
        let promised = self.limits.capabilities.lease;
        let total = lent.taken.elapsed().saturating_add(lease);
        if promised.max().is_some_and(|max| total > max) {
            return Err(unsupported("lease", promised.to_string(), "extend"));
        }
        let lease = rounded_up(lease, promised.grain());
        let answer = self.driver.extend(queue, &[&lent.delivery], lease).await.remove(0);
        if answer.is_ok() {
            self.book.extend(queue, &delivery.receipt, lease);
        } else if is_lease_lost(&answer) {
            self.book.end(queue, &delivery.receipt);
        }
        answer
    }

    /// The delivery as the driver below knows it, if this connection may still end it.
    fn lent(&self, queue: &QueueName, delivery: &Delivery, operation: &'static str) -> Result<Lent> {
        self.closed(operation).map_or(Ok(()), Err)?;
        let lost = || Error::new(ErrorKind::LeaseLost, self.driver.name(), operation);
        let lent = self.book.find(queue, &delivery.receipt).ok_or_else(lost)?;
        if self.may_end(&lent) && !lent.is_over {
            return Ok(lent);
        }
        self.book.end_if_of(queue, &delivery.receipt, self.number);
        Err(lost())
    }

    /// Whether nothing but a settlement speaks against it.
    fn may_end(&self, lent: &Lent) -> bool {
        let has_ended = lent.ends <= Instant::now();
        match (self.limits.capabilities.lease, self.limits.capabilities.fence) {
            (LeaseSupport::Connection { .. }, _) => lent.connection == self.number && !has_ended,
            (_, Fence::ExpiryRefused) => !has_ended,
            _ => true,
        }
    }

    pub(super) fn is_current(&self, delivery: &Delivery) -> bool {
        let is_open = self.closed("is current").is_none();
        is_open && self.book.knows(&delivery.receipt, |lent| self.may_end(lent) && self.time_allows(lent))
    }

    /// Where the fence is not `Exact`, time alone says that a delivery is over.
    fn time_allows(&self, lent: &Lent) -> bool {
        self.limits.capabilities.fence == Fence::Exact || lent.ends > Instant::now()
    }

    /// Notes what was taken, and shows it as the limits say.
    pub(super) fn lend(&self, queue: &QueueName, mut delivery: Delivery, lease: Duration) -> Delivery {
        self.book.lend(queue, &delivery, self.number, later(lease));
        self.book.restore(&mut delivery.envelope);
        if self.limits.capabilities.counts == Counts::Merged {
            (delivery.attempt, delivery.lost) = merged(delivery.attempt, delivery.lost);
        }
        if !self.limits.capabilities.last_error.is_yes() {
            delivery.last_error = None;
        }
        delivery
    }

    pub(super) fn closed(&self, operation: &'static str) -> Option<Error> {
        let error = || Error::new(ErrorKind::Unavailable, self.driver.name(), operation);
        self.is_closed.load(Ordering::Relaxed).then(error)
    }

    /// Ends the connection, and with it the leases that are bound to it.
    pub(super) async fn close(&self) -> Result<()> {
        self.is_closed.store(true, Ordering::Relaxed);
        if matches!(self.limits.capabilities.lease, LeaseSupport::Connection { .. }) {
            for (queue, delivery) in self.book.held_by(self.number) {
                // One that is over already stays as it is.
                let _: Vec<Result<()>> = self.driver.extend(&queue, &[&delivery], OVER).await;
                self.book.end(&queue, &delivery.receipt);
            }
        }
        self.driver.close().await
    }
}

/// One counter for both.
pub(super) fn merged(attempt: u32, lost: u32) -> (u32, u32) {
    (attempt.saturating_add(lost), 0)
}

pub(super) fn rounded_up(span: Duration, grain: Duration) -> Duration {
    if grain.is_zero() {
        return span;
    }
    let steps = span.as_nanos().div_ceil(grain.as_nanos());
    steps.try_into().ok().and_then(|steps| grain.checked_mul(steps)).unwrap_or(span)
}

pub(super) fn unsupported(feature: &'static str, limit: String, operation: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported { feature, limit }, "limited", operation)
}

fn is_lease_lost<T>(answer: &Result<T>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == &ErrorKind::LeaseLost)
}
