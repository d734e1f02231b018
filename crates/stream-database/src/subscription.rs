//! A consumer's place at some queues: how it waits, and what it takes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use stream_core::{Delivery, QueueName, Reserve, Result, Subscription, async_trait};
use tokio::time::{Instant, timeout_at};

use crate::{
    connection::{Connection, jittered},
    dialect::Pace,
    error::Effect,
    locked::locked,
    place::Place,
    receipt,
    row::{Key, Next, Row, Take, envelope},
    wakes::Seat,
};

/// Holds nothing of the store: its places, and what it knows of the time until there is work.
pub(crate) struct DatabaseSubscription {
    connection: Arc<Connection>,
    places: Vec<Place>,
    seat: Arc<Seat>,
    /// How long the next wait is when nothing wakes it; over several calls of `ready`.
    interval: Mutex<Duration>,
}

/// What a look at the store found.
struct Look {
    work: Vec<QueueName>,
    /// When there may be work, unless something happens before.
    next: Option<Instant>,
}

impl DatabaseSubscription {
    pub(crate) fn open(connection: Arc<Connection>, queues: &[QueueName]) -> Result<Self> {
        let at = connection.at("subscribe", Effect::Reads);
        connection.ensure_open(at)?;
        let mut places: Vec<Place> = Vec::with_capacity(queues.len());
        for queue in queues {
            if places.iter().all(|place| place.queue != *queue) {
                places.push(Place::new(queue.clone()));
            }
        }
        if places.is_empty() {
            return Err(at.config("name at least one queue"));
        }
        let seat = connection.wakes.seat(places.iter().map(|place| &place.queue));
        let interval = Mutex::new(connection.pace().shortest);
        Ok(Self { connection, places, seat, interval })
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
        for chunk in asked.chunks(self.connection.dialect.limits().rows) {
            let names: Vec<&str> = chunk.iter().map(|place| place.queue.as_str()).collect();
            let found = self.connection.read("ready", || self.connection.dialect.probe(&names)).await?;
            // After the answer: a time that the store gave runs from then on, so nobody looks too early.
            let now = Instant::now();
            for (place, next) in chunk.iter().zip(found) {
                place.probed(next);
                match next {
                    Next::Now => look.work.push(place.name()),
                    Next::In(wait) => look.may_come(later(now, wait)),
                    Next::Never => {}
                }
            }
        }
        Ok(look)
    }

    /// The queues that were woken and are not held back by their limit.
    fn woken(&self) -> Vec<QueueName> {
        let woken = self.seat.take();
        let now = Instant::now();
        let places = self.places.iter().filter(|place| woken.contains(place.queue.as_str()));
        places.filter(|place| place.wake(now)).map(Place::name).collect()
    }

    fn next_interval(&self) -> Duration {
        let Pace { longest, .. } = self.connection.pace();
        let mut interval = locked(&self.interval);
        let now = *interval;
        *interval = (now * 2).min(longest);
        jittered(now)
    }

    fn begin_anew(&self) {
        let shortest = self.connection.pace().shortest;
        *locked(&self.interval) = shortest;
    }
}

#[async_trait]
impl Subscription for DatabaseSubscription {
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>> {
        let at = self.connection.at("ready", Effect::Reads);
        let deadline = later(Instant::now(), wait);
        loop {
            self.connection.ensure_open(at)?;
            // Forgotten before the look, which finds what they told of.
            self.woken();
            let look = self.look().await?;
            if !look.work.is_empty() {
                self.begin_anew();
                return Ok(look.work);
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(Vec::new());
            }
            self.connection.listen();
            let next = look.next.unwrap_or(deadline).min(later(now, self.next_interval()));
            if timeout_at(next.min(deadline), self.seat.woken()).await.is_ok() {
                self.connection.ensure_open(at)?;
                self.begin_anew();
                // The look found no other queue with work, so those that were woken are all there are.
                let woken = self.woken();
                if !woken.is_empty() {
                    return Ok(woken);
                }
            }
        }
    }

    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>> {
        let at = self.connection.at("reserve", Effect::Writes);
        let place = self.places.iter().find(|place| place.queue == *queue);
        let place = place.ok_or_else(|| at.not_subscribed(queue))?;
        let take = Take { max_jobs: request.max_jobs, lease: request.lease, token: receipt::token() };
        let (dialect, name) = (&self.connection.dialect, queue.as_str());
        let (rows, wait) = match request.rate_limit {
            None => (self.connection.write("reserve", || dialect.reserve(name, take)).await?, None),
            Some(limit) => {
                let limited = self.connection.write("reserve", || dialect.reserve_limited(name, take, limit));
                let limited = limited.await?;
                (limited.rows, limited.wait)
            }
        };
        place.reserved(rows.len(), wait);
        Ok(rows.into_iter().map(|row| delivery(row, take.token)).collect())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        // Nothing is fetched ahead, so there is nothing to give back.
        Ok(())
    }
}

impl Drop for DatabaseSubscription {
    fn drop(&mut self) {
        // The seat goes first, so that its queues can be forgotten.
        self.seat = Arc::default();
        self.connection.wakes.leave(self.places.iter().map(|place| &place.queue));
    }
}

impl Look {
    fn may_come(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

fn delivery(row: Row, token: i64) -> Delivery {
    let mut delivery = Delivery::new(envelope(row.id, row.payload), Key { id: row.id, token }.to_receipt());
    delivery.attempt = row.attempts.saturating_add(1);
    delivery.lost = row.lost;
    delivery.last_error = row.last_error.map(|error| String::from_utf8_lossy(&error).into_owned());
    delivery
}

/// Waits are up to years: one that no clock can hold is as good as ten of them.
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    at.checked_add(by).unwrap_or(at + FAR)
}
