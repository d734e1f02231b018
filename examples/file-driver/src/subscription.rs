//! A consumer's place at some queues. It holds nothing: a file system wakes nobody, so it looks.

use std::{sync::Arc, time::Duration};

use stream_core::{Delivery, QueueName, Reserve, Result, Subscription, async_trait};
use tokio::time::{Instant, sleep};

use crate::{entry::now, error, folder::glance, queue, store::Store};

pub(crate) struct FileSubscription {
    pub(crate) store: Arc<Store>,
    pub(crate) queues: Vec<QueueName>,
}

impl FileSubscription {
    async fn look(&self) -> Result<Vec<QueueName>> {
        let queues = self.queues.clone();
        let look = move |store: &Store| {
            let mut ready = Vec::new();
            for queue in queues {
                let entries = glance(&store.config, &queue);
                let entries = entries.map_err(|error| error::unavailable("ready", error))?;
                if entries.iter().any(|entry| entry.is_ready(now())) {
                    ready.push(queue);
                }
            }
            Ok(ready)
        };
        self.store.blocking("ready", look).await
    }
}

#[async_trait]
impl Subscription for FileSubscription {
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>> {
        let poll = self.store.config.poll;
        // A wait beyond what the clock can say has no end.
        let deadline = Instant::now().checked_add(wait);
        loop {
            let ready = self.look().await?;
            let left = deadline.map_or(poll, |deadline| deadline.saturating_duration_since(Instant::now()));
            if !ready.is_empty() || left.is_zero() {
                return Ok(ready);
            }
            sleep(left.min(poll)).await;
        }
    }

    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>> {
        if !self.queues.contains(queue) {
            return Err(error::not_subscribed(queue));
        }
        self.store.change("reserve", queue, move |folder| queue::take(folder, request)).await
    }

    async fn close(self: Box<Self>) -> Result<()> {
        // Nothing was fetched that was not returned.
        Ok(())
    }
}
