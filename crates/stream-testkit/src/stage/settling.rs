//! How a case ends deliveries and extends their leases.

use std::time::Duration;

use stream_core::{Delivery, NewJob, Outcome, Result, Settlement, Subscription};

use super::{Stage, job_ids};

impl Stage {
    /// Ends one delivery; the answer.
    pub async fn try_settle(&self, delivery: &Delivery, outcome: Outcome) -> Result<()> {
        let mut answers = self.driver.settle(&self.queue, &[Settlement::new(delivery, &outcome)]).await;
        assert_eq!(answers.len(), 1, "one answer for one settlement");
        answers.remove(0)
    }

    /// Ends one delivery.
    pub async fn settle(&self, delivery: &Delivery, outcome: Outcome) {
        self.try_settle(delivery, outcome).await.expect("settled");
    }

    /// Ends deliveries with one outcome, in one call; the answers.
    pub async fn try_settle_all(&self, deliveries: &[Delivery], outcome: &Outcome) -> Vec<Result<()>> {
        let settlements: Vec<_> = deliveries.iter().map(|it| Settlement::new(it, outcome)).collect();
        self.driver.settle(&self.queue, &settlements).await
    }

    /// Ends deliveries as done, in one call.
    pub async fn finish(&self, deliveries: &[Delivery]) {
        let answers = self.try_settle_all(deliveries, &Outcome::Done).await;
        assert_eq!(answers.len(), deliveries.len(), "one answer for each settlement");
        answers.into_iter().for_each(|answer| answer.expect("settled"));
    }

    /// Takes and ends jobs until each of these was ended once, and finds no other.
    ///
    /// Where a repeated push is not recognised a job may come twice, and is ended twice.
    pub async fn finish_each(&self, subscription: &dyn Subscription, jobs: &[NewJob]) {
        let expected = job_ids(jobs);
        let mut ended = Vec::new();
        while !expected.iter().all(|id| ended.contains(id)) {
            let delivery = self.hold_one(subscription).await;
            ended.push(delivery.id().expect("an id"));
            self.settle(&delivery, Outcome::Done).await;
        }
        if self.capabilities().repeated_push.is_yes() {
            ended.sort();
            assert_eq!(ended, expected, "the jobs that came");
            self.assert_empty(subscription).await;
        }
    }

    /// Extends one lease; the answer.
    pub async fn try_extend(&self, delivery: &Delivery, lease: Duration) -> Result<()> {
        let mut answers = self.driver.extend(&self.queue, &[delivery], lease).await;
        assert_eq!(answers.len(), 1, "one answer for one delivery");
        answers.remove(0)
    }
}
