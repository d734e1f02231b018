//! A consumer's place at some queues: how it waits, and what it takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fred::types::Value;
use stream_core::{Delivery, QueueName, Reserve, Result, Subscription, async_trait};
use tokio::time::{Instant, timeout_at};

use crate::{
    call::{Connection, put_keys},
    error::At,
    place::{Place, later},
    reply::Reply,
    reserve,
    script::PROBE,
    wakes::Seat,
};

/// A mark may be lost with the process that took it: who waits looks as often as this in any case.
const SAFETY: Duration = Duration::from_secs(1);
/// Queues that one call looks at.
const PROBED: usize = 100;

/// Holds nothing of the store: its places, and which of them were woken.
pub(crate) struct RedisSubscription {
    connection: Arc<Connection>,
    places: Vec<Place>,
    seat: Arc<Seat>,
}

/// What a look at the store found.
struct Look {
    work: Vec<QueueName>,
    /// When there may be work, unless something happens before.
    next: Option<Instant>,
}

impl Look {
    fn may_come(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

impl RedisSubscription {
    pub(crate) fn open(connection: Arc<Connection>, queues: &[QueueName]) -> Result<Self> {
        let at = At::reads("subscribe");
        connection.link.ensure_open(at)?;
        let mut places: Vec<Place> = Vec::with_capacity(queues.len());
        for queue in queues {
            if places.iter().all(|place| place.keys.queue != *queue) {
                places.push(Place::new(connection.keys(queue)));
            }
        }
        if places.is_empty() {
            return Err(at.config("name at least one queue"));
        }
        Ok(Self { connection, places, seat: Arc::default() })
    }

    /// Asks the store about every queue that may have work.
    async fn look(&self) -> Result<Look> {
        let now = Instant::now();
        let mut look = Look { work: Vec::new(), next: None };
        let mut asked = Vec::with_capacity(self.places.len());
        for place in &self.places {
            match place.held_until(now) {
                Some(until) => look.may_come(until),
                None => asked.push(place),
            }
        }
        // In a cluster each queue is in another slot, and a call takes keys of one.
        let at_once = if self.connection.link.is_cluster() { 1 } else { PROBED };
        for places in asked.chunks(at_once) {
            self.probe(places, &mut look).await?;
        }
        Ok(look)
    }

    async fn probe(&self, places: &[&Place], look: &mut Look) -> Result<()> {
        let at = At::reads("ready");
        let arguments =
            |to: &mut Vec<Value>| put_keys(to, places.iter().flat_map(|place| place.keys.waiting()));
        let frame = self.connection.run(at, places[0].keys.slot, &PROBE, arguments).await?;
        // After the answer: a time that the store gave runs from then on, so nobody looks too early.
        let now = Instant::now();
        for (place, wait) in places.iter().zip(frame.list().ok_or_else(|| at.unreadable())?) {
            match wait.number().ok_or_else(|| at.unreadable())? {
                0 => look.work.push(place.keys.queue.clone()),
                wait => {
                    if let Ok(wait) = u64::try_from(wait) {
                        look.may_come(later(now, Duration::from_micros(wait)));
                    }
                }
            }
        }
        Ok(())
    }

    /// The queues that were woken and are not held back by their limit.
    fn woken(&self) -> Vec<QueueName> {
        let woken = self.seat.take();
        let now = Instant::now();
        let places = self.places.iter().filter(|place| woken.contains(&place.keys.queue));
        let free = places.filter(|place| place.held_until(now).is_none());
        free.map(|place| place.keys.queue.clone()).collect()
    }

    /// Waits until a queue is woken, at most until then.
    async fn wait(&self, until: Instant) {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let now = Instant::now();
        // A mark that a limit keeps us from following is left to others.
        let free = self.places.iter().filter(|place| place.held_until(now).is_none());
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        let queues = free.map(|place| place.keys.clone());
        let _waiting = self.connection.bells.wait(number, &self.seat, queues);
        let _ = timeout_at(until, self.seat.woken()).await;
    }
}

#[async_trait]
impl Subscription for RedisSubscription {
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>> {
        let at = At::reads("ready");
        let deadline = later(Instant::now(), wait);
        loop {
            self.connection.link.ensure_open(at)?;
            // Forgotten before the look, which finds what they told of.
            self.seat.take();
            let look = self.look().await?;
            if !look.work.is_empty() {
                return Ok(look.work);
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(Vec::new());
            }
            self.wait(look.next.unwrap_or(deadline).min(later(now, SAFETY)).min(deadline)).await;
            self.connection.link.ensure_open(at)?;
            // The look found no other queue with work, so those that were woken are all there are.
            let woken = self.woken();
            if !woken.is_empty() {
                return Ok(woken);
            }
        }
    }

    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>> {
        let at = At::writes("reserve");
        let place = self.places.iter().find(|place| place.keys.queue == *queue);
        let place = place.ok_or_else(|| at.not_subscribed(queue))?;
        let taken = reserve::reserve(&self.connection, &place.keys, request).await?;
        place.limit(taken.wait);
        Ok(taken.deliveries)
    }

    async fn close(self: Box<Self>) -> Result<()> {
        // Nothing is fetched ahead, so there is nothing to give back.
        Ok(())
    }
}
