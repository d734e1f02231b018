//! A consumer's place at some queues: how it waits, and what it takes.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use stream_core::{Delivery, QueueName, RateLimit, Reserve, Result, Subscription, async_trait};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{
    connection::Connection,
    error,
    state::{Change, Readiness, later},
};

/// Holds nothing of the store but its places among the listeners.
pub(crate) struct MemorySubscription {
    connection: Arc<Connection>,
    places: Vec<Place>,
    wake: Arc<Notify>,
}

struct Place {
    queue: QueueName,
    /// What the last reserve here was limited to: a queue without a permit has no work for it.
    limit: Mutex<Option<RateLimit>>,
}

/// What a look at the store found.
enum Look {
    Work(Vec<QueueName>),
    /// Nothing before then, unless something happens.
    Nothing(Option<Instant>),
}

impl MemorySubscription {
    pub(crate) fn open(connection: Arc<Connection>, queues: &[QueueName]) -> Result<Self> {
        let mut places: Vec<Place> = Vec::with_capacity(queues.len());
        for queue in queues {
            if places.iter().all(|place| place.queue != *queue) {
                places.push(Place { queue: queue.clone(), limit: Mutex::new(None) });
            }
        }
        if places.is_empty() {
            return Err(error::no_queues());
        }
        let wake = Arc::new(Notify::new());
        connection.with("subscribe", |store, _| {
            for place in &places {
                store.open(&place.queue).listeners.add(&wake);
            }
        })?;
        Ok(Self { connection, places, wake })
    }

    fn look(&self) -> Result<Look> {
        self.connection.with("ready", |store, now| {
            let mut work = Vec::new();
            let mut next: Option<Instant> = None;
            for place in &self.places {
                match store.open(&place.queue).readiness(place.limit(), now) {
                    Readiness::Now => work.push(place.queue.clone()),
                    Readiness::At(at) => next = Some(next.map_or(at, |next| next.min(at))),
                    Readiness::Unknown => {}
                }
            }
            if work.is_empty() { Look::Nothing(next) } else { Look::Work(work) }
        })
    }
}

#[async_trait]
impl Subscription for MemorySubscription {
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>> {
        let deadline = later(Instant::now(), wait);
        loop {
            // Listens before it looks, so that what happens in between is not missed.
            let mut woken = pin!(self.wake.notified());
            woken.as_mut().enable();
            let next = match self.look()? {
                Look::Work(queues) => return Ok(queues),
                Look::Nothing(next) => next,
            };
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            let until = next.map_or(deadline, |next| next.min(deadline));
            // Woken or timed out, the answer is in the store.
            let _: Result<(), _> = timeout_at(until, woken).await;
        }
    }

    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>> {
        let place = self.places.iter().find(|place| place.queue == *queue);
        let place = place.ok_or_else(|| error::not_subscribed(queue))?;
        self.connection.change("reserve", queue, |queue, _, now| {
            let limit_changed = place.set_limit(request.rate_limit);
            let taken = queue.reserve(request, now);
            // Another call may wait for a permit of the limit before. The new leases are no news: who waits
            // was woken when the jobs became ready, and finds either them or when their leases end.
            (taken, if limit_changed { Change::Wakes } else { Change::Quiet })
        })
    }

    async fn close(self: Box<Self>) -> Result<()> {
        // Nothing is fetched ahead, so there is nothing to give back.
        Ok(())
    }
}

impl Place {
    fn limit(&self) -> Option<RateLimit> {
        *self.limit.lock().expect("nothing panics under the lock")
    }

    /// Whether it was another one before.
    fn set_limit(&self, limit: Option<RateLimit>) -> bool {
        let mut last = self.limit.lock().expect("nothing panics under the lock");
        std::mem::replace(&mut *last, limit) != limit
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        let mut store = self.connection.lock();
        for place in &self.places {
            store.open(&place.queue).listeners.remove(&self.wake);
        }
    }
}
