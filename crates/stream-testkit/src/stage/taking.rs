//! How a case waits for jobs and takes them.

use std::{slice, time::Duration};

use stream_core::{Delivery, Reserve, Subscription};
use tokio::time::{Instant, timeout_at};

use super::{LONG_LEASE, NOT_LATER, Stage};

impl Stage {
    /// A subscription to the queue.
    pub async fn subscribe(&self) -> Box<dyn Subscription> {
        self.driver.subscribe(slice::from_ref(&self.queue)).await.expect("subscribed")
    }

    /// Takes up to `max_jobs` of what is ready now; none if nothing is.
    pub async fn take_now(&self, subscription: &dyn Subscription, max_jobs: usize) -> Vec<Delivery> {
        let request = Reserve::new(max_jobs).lease(self.lease());
        let taken = subscription.reserve(&self.queue, request).await.expect("reserved");
        if !taken.is_empty() || subscription.ready(Duration::ZERO).await.expect("ready answers").is_empty() {
            return taken;
        }
        subscription.reserve(&self.queue, request).await.expect("reserved")
    }

    /// Waits until exactly `count` jobs were taken by `request`, each call for what is still missing.
    pub async fn take_as(
        &self,
        subscription: &dyn Subscription,
        count: usize,
        request: Reserve,
    ) -> Vec<Delivery> {
        let deadline = Instant::now() + NOT_LATER;
        let mut taken = Vec::new();
        while taken.len() < count {
            let mut missing = request;
            missing.max_jobs = count - taken.len();
            let more = subscription.reserve(&self.queue, missing).await.expect("reserved");
            if more.is_empty() {
                let wait = subscription.ready(NOT_LATER);
                let answer = timeout_at(deadline, wait).await;
                let found = taken.len();
                answer
                    .unwrap_or_else(|_| panic!("only {found} of {count} jobs came"))
                    .expect("ready answers");
                assert!(Instant::now() < deadline, "only {found} of {count} jobs came");
            }
            taken.extend(more);
        }
        taken
    }

    /// Waits until `count` jobs were taken on the lease of most cases.
    pub async fn take(&self, subscription: &dyn Subscription, count: usize) -> Vec<Delivery> {
        self.take_as(subscription, count, Reserve::new(count).lease(self.lease())).await
    }

    /// Waits for one job.
    pub async fn take_one(&self, subscription: &dyn Subscription) -> Delivery {
        self.take(subscription, 1).await.remove(0)
    }

    /// Waits until `count` jobs were taken on a lease that outlives the case.
    pub async fn hold(&self, subscription: &dyn Subscription, count: usize) -> Vec<Delivery> {
        self.take_as(subscription, count, Reserve::new(count).lease(LONG_LEASE)).await
    }

    /// What one call takes after work was found, on a lease that outlives the case.
    pub async fn hold_up_to(&self, subscription: &dyn Subscription, max_jobs: usize) -> Vec<Delivery> {
        subscription.ready(NOT_LATER).await.expect("ready answers");
        let request = Reserve::new(max_jobs).lease(LONG_LEASE);
        subscription.reserve(&self.queue, request).await.expect("reserved")
    }

    /// Waits until one job was taken on a lease that outlives the case.
    pub async fn hold_one(&self, subscription: &dyn Subscription) -> Delivery {
        self.hold(subscription, 1).await.remove(0)
    }

    /// Whatever comes within `span`.
    pub async fn whatever_comes(&self, subscription: &dyn Subscription, span: Duration) -> Vec<Delivery> {
        let deadline = Instant::now() + span;
        let request = Reserve::new(100).lease(LONG_LEASE);
        let mut taken = Vec::new();
        while Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            subscription.ready(left).await.expect("ready answers");
            taken.extend(subscription.reserve(&self.queue, request).await.expect("reserved"));
        }
        taken
    }
}

/// Takes the one job of the queue, lets its lease end, and takes it again on another connection.
///
/// The first delivery, and where the second one was taken.
pub async fn take_over(stage: &Stage) -> (Delivery, Stage, Box<dyn Subscription>, Delivery) {
    let subscription = stage.subscribe().await;
    let first = stage.take_one(&*subscription).await;
    // What it returned stays valid, and it takes nothing any more.
    subscription.close().await.expect("closed");
    let other = stage.elsewhere().await;
    let subscription = other.subscribe().await;
    let second = other.hold_one(&*subscription).await;
    (first, other, subscription, second)
}
