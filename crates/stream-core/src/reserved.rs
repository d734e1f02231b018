//! A job taken by hand: complete, fail, release or extend it.

use std::{
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::de::DeserializeOwned;

use crate::{
    Delivery, Driver, Envelope, Error, ErrorKind, JobError, Outcome, QueueName, Result, Settlement, decide,
    manager::check_lease, random::random, retry,
};

/// A job taken by [`QueueManager::pop`](crate::QueueManager::pop) or `reserve`.
///
/// It comes back after its lease unless it is completed, failed or released. Dropping it releases it
/// as best it can: inside a tokio runtime, with the feature `worker`. All methods take `&self`, so
/// that a call that met an outage can be repeated.
#[must_use = "it comes back after its lease unless completed, failed or released"]
#[derive(Debug)]
pub struct ReservedJob {
    driver: Arc<dyn Driver>,
    queue: QueueName,
    delivery: Arc<Delivery>,
    is_over: AtomicBool,
}

impl ReservedJob {
    /// Wraps a delivery that can be run; buries one that cannot, and says so with `None`.
    pub(crate) async fn accept(
        driver: &Arc<dyn Driver>,
        queue: &QueueName,
        delivery: Delivery,
    ) -> Result<Option<Self>> {
        let counts = driver.capabilities().counts;
        let Some(outcome) = retry::unrunnable(&delivery, counts, retry::max_lost(counts)) else {
            let (driver, queue) = (driver.clone(), queue.clone());
            return Ok(Some(Self { driver, queue, delivery: Arc::new(delivery), is_over: false.into() }));
        };
        settle(&**driver, queue, &delivery, &outcome).await.map(|()| None)
    }

    /// The job as it is stored.
    pub fn envelope(&self) -> &Envelope {
        self.delivery.envelope.as_ref().expect("`accept` buried what cannot be decoded")
    }

    /// 1 + how often the job was retried.
    pub fn attempt(&self) -> u32 {
        self.delivery.attempt
    }

    /// The payload as a `T`.
    ///
    /// # Errors
    /// `InvalidJob` if it is none; `fail` the job with [`JobError::bury`] then.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.envelope().decode()
    }

    /// Ends the job: it is done.
    ///
    /// # Errors
    /// `LeaseLost` if its lease ended and it was taken again, or it is over; the driver's own.
    pub async fn complete(&self) -> Result<()> {
        self.settle(&Outcome::Done).await
    }

    /// Ends the attempt as the consumer would, and says what was decided.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn fail(&self, error: impl Into<JobError>) -> Result<Outcome> {
        let outcome = decide(self.envelope(), self.attempt(), Err(&error.into()), random());
        self.settle(&outcome).await.map(|()| outcome)
    }

    /// Gives the job back: ready at once, counting no attempt.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn release(&self) -> Result<()> {
        self.settle(&Outcome::Release { after: Duration::ZERO }).await
    }

    /// Makes the lease end `lease` from now.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); `Config` or `Unsupported` for a lease that cannot be kept.
    pub async fn extend(&self, lease: Duration) -> Result<()> {
        check_lease(lease, &self.driver.capabilities())?;
        let extended = self.driver.extend(&self.queue, &[&self.delivery], lease).await.pop();
        extended.unwrap_or_else(|| Err(Error::new(ErrorKind::Unexpected, self.driver.name(), "extend")))
    }

    async fn settle(&self, outcome: &Outcome) -> Result<()> {
        let settled = settle(&*self.driver, &self.queue, &self.delivery, outcome).await;
        if settled.as_ref().err().is_none_or(|error| error.kind() == &ErrorKind::LeaseLost) {
            self.is_over.store(true, Ordering::Relaxed);
        }
        settled
    }
}

async fn settle(
    driver: &dyn Driver,
    queue: &QueueName,
    delivery: &Delivery,
    outcome: &Outcome,
) -> Result<()> {
    let settlement = Settlement::new(delivery, outcome);
    let settled = driver.settle(queue, slice::from_ref(&settlement)).await.pop();
    settled.unwrap_or_else(|| Err(Error::new(ErrorKind::Unexpected, driver.name(), "settle")))
}

#[cfg(feature = "worker")]
impl Drop for ReservedJob {
    fn drop(&mut self) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        // Without a runtime nothing can be sent from here: the lease ends it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (driver, queue, delivery) = (self.driver.clone(), self.queue.clone(), self.delivery.clone());
            runtime.spawn(async move {
                let release = Outcome::Release { after: Duration::ZERO };
                settle(&*driver, &queue, &delivery, &release).await
            });
        }
    }
}
