//! The places of subscriptions in this process: which of their queues were woken.

use std::{collections::HashSet, sync::Mutex};

use stream_core::QueueName;
use tokio::sync::Notify;

use crate::locked::locked;

/// The place of one subscription: which of its queues were woken since it last looked.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    woken: Mutex<HashSet<QueueName>>,
    notify: Notify,
}

impl Seat {
    pub(crate) fn wake(&self, queue: &QueueName) {
        locked(&self.woken).insert(queue.clone());
        self.notify.notify_one();
    }

    /// The queues that were woken since the last call.
    pub(crate) fn take(&self) -> HashSet<QueueName> {
        std::mem::take(&mut *locked(&self.woken))
    }

    /// Resolves once a queue was woken since the last `take`.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: the names stay until they are taken.
    pub(crate) async fn woken(&self) {
        while locked(&self.woken).is_empty() {
            self.notify.notified().await;
        }
    }
}
