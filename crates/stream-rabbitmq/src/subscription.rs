//! A consumer's place at some queues: how it waits, and what it takes.

use std::{
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_core::future::BoxFuture;
use lapin::{options::QueueDeclareOptions, types::FieldTable};
use stream_core::{Delivery, Envelope, Priority, QueueName, Reserve, Result, Subscription, async_trait};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    arrivals::Tag,
    connection::Connection,
    error::At,
    fault::Outcome,
    flight::{Flight, Making},
    intake::Intake,
    locked::locked,
    message::Message,
    receipt::Key,
    together,
};

/// How long a `ready` that may not wait does wait for jobs that the broker says are there.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// A wait that no clock can hold is as good as ten years.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A consumer's place at some queues.
pub(crate) struct RabbitMqSubscription {
    connection: Arc<Connection>,
    queues: Arc<[QueueName]>,
    flight: Flight<Arc<Intake>>,
    /// Tells the channel that this place is empty, also one that is only being opened.
    left: Arc<AtomicBool>,
}

/// Somebody is in `ready`.
struct Waiting<'i>(&'i Intake);

impl<'i> Waiting<'i> {
    fn begin(intake: &'i Intake) -> Self {
        let mut stock = locked(&intake.stock);
        stock.demand.begin();
        stock.want_all();
        let must_be_tended = stock.must_be_tended();
        drop(stock);
        if must_be_tended {
            intake.poke.notify_one();
        }
        Self(intake)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        locked(&self.0.stock).demand.end(Instant::now());
        // From now on the buffer is judged.
        self.0.poke.notify_one();
    }
}

impl RabbitMqSubscription {
    pub(crate) fn open(connection: Arc<Connection>, queues: &[QueueName]) -> Result<Self> {
        let at = At("subscribe");
        connection.ensure_open().map_err(|failure| at.error(failure))?;
        let mut distinct: Vec<QueueName> = Vec::with_capacity(queues.len());
        for queue in queues {
            if !distinct.contains(queue) {
                distinct.push(queue.clone());
            }
        }
        if distinct.is_empty() {
            return Err(at.config("name at least one queue"));
        }
        let left = Arc::new(AtomicBool::new(false));
        Ok(Self { connection, queues: distinct.into(), flight: Flight::new(), left })
    }

    /// The channel that works, or a new one.
    async fn intake(&self) -> Outcome<Arc<Intake>> {
        self.connection.ensure_open()?;
        let make = || {
            let (connection, queues, left) =
                (self.connection.clone(), self.queues.clone(), self.left.clone());
            Box::pin(Intake::open(connection, queues, left)) as Making<Arc<Intake>>
        };
        self.flight.get(|intake| intake.is_good(), make).await
    }

    async fn wait(&self, wait: Duration) -> Outcome<Vec<QueueName>> {
        let now = Instant::now();
        let deadline = now.checked_add(wait).unwrap_or(now + FAR);
        let is_asked_once = wait.is_zero();
        loop {
            let intake = self.intake().await?;
            let _waiting = Waiting::begin(&intake);
            let mut may_have = Vec::new();
            if is_asked_once && self.buffered(&intake).is_empty() {
                may_have = self.ask(&intake, &self.queues).await?;
            }
            let until = if may_have.is_empty() { deadline } else { Instant::now() + ON_THE_WAY };
            let found = timeout_at(until, self.something(&intake)).await;
            self.connection.ensure_open()?;
            match found {
                Ok(Some(mut queues)) => {
                    queues.extend(
                        may_have.into_iter().filter(|queue| !queues.contains(queue)).collect::<Vec<_>>(),
                    );
                    return Ok(queues);
                }
                // The channel is gone: on with another.
                Ok(None) if Instant::now() < deadline => {}
                Ok(None) | Err(_) => return Ok(may_have),
            }
        }
    }

    /// Waits until something is in the buffer; none if nothing can come any more.
    async fn something(&self, intake: &Intake) -> Option<Vec<QueueName>> {
        loop {
            let mut news = std::pin::pin!(intake.news.notified());
            news.as_mut().enable();
            let queues = self.buffered(intake);
            if !queues.is_empty() {
                return Some(queues);
            }
            if !intake.is_good() {
                return None;
            }
            news.await;
        }
    }

    /// Takes what is in the buffer; if that is nothing and the broker says that there is something, what comes of it.
    async fn take(&self, place: usize, request: Reserve) -> Outcome<(u64, Vec<(Tag, Arc<Message>)>)> {
        let intake = self.intake().await?;
        let taken = take(&intake, place, request);
        if !taken.is_empty() || !locked(&intake.stock).is_awaited(place) {
            return Ok((intake.nonce, taken));
        }
        if !self.ask(&intake, slice::from_ref(&self.queues[place])).await?.is_empty() {
            let _: std::result::Result<_, _> = timeout(ON_THE_WAY, self.something_at(&intake, place)).await;
        }
        Ok((intake.nonce, take(&intake, place, request)))
    }

    /// Waits until something of one queue is in the buffer, or nothing can come any more.
    async fn something_at(&self, intake: &Intake, place: usize) {
        while let Some(queues) = self.something(intake).await {
            if queues.contains(&self.queues[place]) {
                return;
            }
            intake.news.notified().await;
        }
    }

    fn buffered(&self, intake: &Intake) -> Vec<QueueName> {
        locked(&intake.stock).ready().map(|queue| self.queues[queue].clone()).collect()
    }

    /// Which queues hold something, as the broker says.
    async fn ask(&self, intake: &Intake, queues: &[QueueName]) -> Outcome<Vec<QueueName>> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let names = &self.connection.topology.names;
        let channel = intake.live.lend().await?;
        let lines =
            queues.iter().flat_map(|queue| Priority::ALL.map(|priority| names.ready(queue, priority)));
        let asked = lines.map(|name| {
            let declared = channel.queue_declare(name.into(), passive, FieldTable::default());
            Box::pin(declared) as BoxFuture<'_, lapin::Result<lapin::Queue>>
        });
        let counts = intake.live.within(async { together::all(asked).await.into_iter().collect() });
        let counts: Vec<lapin::Queue> = match counts.await {
            Ok(counts) => counts,
            Err(failure) => {
                // One of them was removed: it is declared again with the next channel or consumer.
                intake.live.forget_all();
                return Err(failure);
            }
        };
        channel.give_back();
        let queues = queues.iter().zip(counts.chunks(Priority::ALL.len()));
        let full = queues.filter(|(_, counts)| counts.iter().any(|one| one.message_count() > 0));
        Ok(full.map(|(queue, _)| queue.clone()).collect())
    }
}

#[async_trait]
impl Subscription for RabbitMqSubscription {
    async fn ready(&self, wait: Duration) -> Result<Vec<QueueName>> {
        self.wait(wait).await.map_err(|failure| At("ready").error(failure))
    }

    async fn reserve(&self, queue: &QueueName, request: Reserve) -> Result<Vec<Delivery>> {
        let at = At("reserve");
        let place = self.queues.iter().position(|one| one == queue);
        let place = place.ok_or_else(|| at.not_subscribed(queue))?;
        if request.rate_limit.is_some() {
            return Err(at.unsupported("rate limit", "none on this connection"));
        }
        let taken = self.take(place, request).await;
        let (nonce, taken) = taken.map_err(|failure| at.error(failure))?;
        Ok(taken.into_iter().map(|(tag, message)| delivery(nonce, tag, &message)).collect())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.left.store(true, Ordering::Release);
        if let Some(intake) = self.flight.landed() {
            intake.begin_closing();
            let limit = self.connection.config.call_timeout;
            // What does not go back in time goes back when the connection does.
            let _: std::result::Result<(), _> = timeout(limit, intake.gave_back()).await;
        }
        Ok(())
    }
}

impl Drop for RabbitMqSubscription {
    fn drop(&mut self) {
        self.left.store(true, Ordering::Release);
        if let Some(intake) = self.flight.landed() {
            intake.begin_closing();
        }
    }
}

fn take(intake: &Intake, place: usize, request: Reserve) -> Vec<(Tag, Arc<Message>)> {
    let (taken, must_be_tended) = {
        let mut stock = locked(&intake.stock);
        let taken = stock.take(place, request.max_jobs, request.lease, Instant::now());
        (taken, stock.must_be_tended())
    };
    if must_be_tended {
        intake.poke.notify_one();
    }
    taken
}

fn delivery(nonce: u64, tag: Tag, message: &Message) -> Delivery {
    let envelope = Envelope::from_bytes(message.body.clone());
    let mut delivery = Delivery::new(envelope, Key { nonce, tag }.to_receipt());
    delivery.attempt = message.attempt;
    delivery.lost = message.lost;
    delivery.last_error.clone_from(&message.last_error);
    delivery
}
