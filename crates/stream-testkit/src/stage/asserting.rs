//! What a case asserts, as far as the connection promises it.

use std::time::Duration;

use stream_core::{Counts, Delivery, Depth, Error, ErrorKind, NewJob, Precision, Result, Subscription};

use super::Stage;

/// How long a job must not come before it counts as gone, where the depth is an estimate.
const ABSENCE: Duration = Duration::from_secs(1);

impl Stage {
    /// The depth of the queue.
    pub async fn depth(&self) -> Depth {
        self.driver.depth(&self.queue).await.expect("depth answers")
    }

    /// Asserts that the core refuses a job that asks for what the connection does not promise.
    pub fn assert_unsupported(&self, job: &NewJob) {
        let refused = self.capabilities().allows(job).expect_err("the job is refused");
        assert!(matches!(refused.kind(), ErrorKind::Unsupported { .. }), "{refused}");
    }

    /// Asserts that no job comes within `span`.
    pub async fn assert_nothing_comes(&self, subscription: &dyn Subscription, span: Duration) {
        let taken = self.whatever_comes(subscription, span).await;
        assert_eq!(taken.len(), 0, "jobs came that may not");
    }

    /// Asserts the two counts of a delivery, as far as the connection keeps them apart.
    pub fn assert_counts(&self, delivery: &Delivery, attempt: u32, lost: u32) {
        let found = (delivery.attempt, delivery.lost);
        match self.capabilities().counts {
            Counts::Exact => assert_eq!(found, (attempt, lost), "attempt and lost"),
            Counts::UnstartedMayCount => {
                assert_eq!(found.0, attempt, "attempt");
                assert!(found.1 >= lost, "lost is {}, not at least {lost}", found.1);
            }
            Counts::Merged => {
                assert!(found.0 >= attempt, "attempt is {}, not at least {attempt}", found.0);
                assert_eq!(found.1, 0, "lost is not kept apart");
            }
            other => panic!("the suite does not know counts that are {other:?}"),
        }
    }

    /// Asserts that the queue holds no job: none waits, is reserved or dead.
    pub async fn assert_empty(&self, subscription: &dyn Subscription) {
        assert_eq!(self.dead().await.len(), 0, "dead letters");
        self.assert_none_waits(subscription).await;
    }

    /// Asserts that the queue holds no job but dead ones.
    pub async fn assert_none_waits(&self, subscription: &dyn Subscription) {
        if self.capabilities().depth == Precision::Exact {
            let Depth { ready, delayed, reserved, .. } = self.depth().await;
            assert_eq!((ready, delayed, reserved), (0, 0, 0), "ready, delayed, reserved");
        } else {
            let left = self.whatever_comes(subscription, ABSENCE).await;
            assert_eq!(left.len(), 0, "jobs left in the queue");
        }
    }
}

/// Asserts that the answer is `LeaseLost`.
pub fn assert_lease_lost(answer: &Result<()>) {
    assert_eq!(answer.as_ref().map_err(Error::kind), Err(&ErrorKind::LeaseLost));
}

/// Asserts what a late outcome is answered where the fence is `BestEffort`: it may count, or it is over.
pub fn assert_ok_or_lease_lost(answer: &Result<()>) {
    if answer.is_err() {
        assert_lease_lost(answer);
    }
}
