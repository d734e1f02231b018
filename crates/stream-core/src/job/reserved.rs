//! A job taken by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::de::DeserializeOwned;

use crate::*;

/// A job taken by [`QueueManager::pop`] or `reserve`.
///
/// It comes back after its lease unless completed, failed or released; each can be repeated. A drop
/// releases it in a tokio runtime, with the feature `worker`.
#[must_use = "complete, fail or release it"]
#[derive(Debug)]
pub struct ReservedJob {
    driver: Arc<dyn Driver>,
    queue: QueueName,
    delivery: Arc<Delivery>,
    is_over: AtomicBool,
}

impl ReservedJob {
    /// `None` for what cannot be run: it is buried.
    pub(crate) async fn accept(
        driver: &Arc<dyn Driver>,
        queue: &QueueName,
        delivery: Delivery,
    ) -> Result<Option<Self>> {
        let (driver, queue, delivery) = (driver.clone(), queue.clone(), Arc::new(delivery));
        let mut job = Self { driver, queue, delivery, is_over: true.into() };
        if let Err(outcome) = runnable(&job.delivery, job.driver.capabilities().counts, None) {
            return job.settle(&outcome).await.map(|()| None);
        }
        job.is_over = false.into();
        Ok(Some(job))
    }

    /// The job as it is stored.
    pub fn envelope(&self) -> &Envelope {
        self.delivery.envelope.as_ref().expect("`accept` buried others")
    }

    /// The delivery, for a driver's own verbs.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// 1 + how often the job was retried.
    pub fn attempt(&self) -> u32 {
        self.delivery.attempt
    }

    /// The payload as a `T`.
    ///
    /// # Errors
    /// `InvalidJob` if it is none; `fail` it with [`JobError::bury`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.envelope().decode()
    }

    /// Ends the job: it is done.
    ///
    /// # Errors
    /// `LeaseLost` if it is over or was taken again; the driver's own.
    pub async fn complete(&self) -> Result<()> {
        self.settle(&Outcome::Done).await
    }

    /// Ends the attempt as a consumer would; says how.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub async fn fail(&self, error: impl Into<JobError>) -> Result<Outcome> {
        let outcome = decide(self.envelope(), self.attempt(), Err(&error.into()), random());
        self.settle(&outcome).await.map(|()| outcome)
    }

    /// Again at once, counting no attempt.
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
        only(self.driver.extend(&self.queue, &[&self.delivery], lease).await, &self.driver, "extend")
    }

    async fn settle(&self, outcome: &Outcome) -> Result<()> {
        let settlement = Settlement::new(&self.delivery, outcome);
        let settled = only(self.driver.settle(&self.queue, &[settlement]).await, &self.driver, "settle");
        if settled.as_ref().err().is_none_or(|error| error.kind() == &ErrorKind::LeaseLost) {
            self.is_over.store(true, Ordering::Relaxed);
        }
        settled
    }
}

#[cfg(feature = "worker")]
impl Drop for ReservedJob {
    fn drop(&mut self) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        // Without a runtime the lease ends it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (driver, queue, delivery) = (self.driver.clone(), self.queue.clone(), self.delivery.clone());
            runtime.spawn(async move {
                let release = Outcome::Release { after: Duration::ZERO };
                driver.settle(&queue, &[Settlement::new(&delivery, &release)]).await
            });
        }
    }
}
