//! One channel on which jobs are taken: its consumers, what they have brought, and the tasks that tend to it.
//!
//! A subscription has one at a time. It outlives the subscription until the last job that was handed out is settled or
//! its lease has ended, and ends at once with its connection.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use futures_core::{Stream as _, future::BoxFuture};
use lapin::{
    Channel,
    options::{BasicAckOptions, ChannelFlowOptions},
};
use stream_core::{Priority, QueueName};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

use crate::{
    QueueType,
    arrivals::Tag,
    connection::Connection,
    copier::{self, Errand},
    fault::{Failure, Outcome},
    live::Live,
    locked::locked,
    message::{Message, random},
    sickness,
    stock::{LINES, Stage, Stock},
    tender,
    topology::Part,
};

/// One channel on which jobs are taken.
pub(crate) struct Intake {
    /// Part of each receipt: no two channels have the same.
    pub(crate) nonce: u64,
    pub(crate) connection: Arc<Connection>,
    pub(crate) live: Arc<Live>,
    pub(crate) channel: Channel,
    pub(crate) queues: Arc<[QueueName]>,
    pub(crate) stock: Mutex<Stock>,
    /// Something came, or a delivery has ended.
    pub(crate) news: Notify,
    /// The tending task is to look.
    pub(crate) poke: Notify,
    pub(crate) errands: mpsc::UnboundedSender<Errand>,
    /// The subscription is gone.
    left: Arc<AtomicBool>,
}

/// Ends an intake whose tending task ends: without it no lease would ever end.
pub(crate) struct Lifeline(pub(crate) Arc<Intake>);

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Intake {
    /// Opens a channel; nothing comes before somebody asks.
    pub(crate) async fn open(
        connection: Arc<Connection>,
        queues: Arc<[QueueName]>,
        left: Arc<AtomicBool>,
    ) -> Outcome<Arc<Self>> {
        let live = connection.takes.live().await?;
        connection.topology.ensure(&live, parts(&connection, &queues)).await?;
        let channel = live.open().await?;
        let (errands, waiting) = mpsc::unbounded_channel();
        let config = &connection.config;
        let stock = Stock::new(queues.len(), config.prefetch_max, config.lease_max(), Instant::now());
        let intake = Arc::new(Self {
            nonce: random(),
            connection: connection.clone(),
            live,
            channel,
            queues,
            stock: Mutex::new(stock),
            news: Notify::new(),
            poke: Notify::new(),
            errands,
            left,
        });
        connection.enlist(&intake)?;
        sickness::watch(&intake);
        tokio::spawn(tender::tend(Lifeline(intake.clone())));
        tokio::spawn(copier::copy(intake.clone(), waiting));
        Ok(intake)
    }

    pub(crate) fn is_good(&self) -> bool {
        locked(&self.stock).stage == Stage::Open && self.works()
    }

    /// Whether the channel is there.
    pub(crate) fn works(&self) -> bool {
        self.channel.status().connected() && self.live.is_good()
    }

    pub(crate) fn is_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Gives back what was not handed out, and ends when nothing is left.
    pub(crate) fn begin_closing(&self) {
        let mut stock = locked(&self.stock);
        if stock.stage == Stage::Open {
            stock.stage = Stage::Closing;
            self.poke.notify_one();
        }
    }

    /// Waits until the buffer has gone back.
    pub(crate) async fn gave_back(&self) {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if locked(&self.stock).has_given_back() || !self.works() {
                return;
            }
            news.await;
        }
    }

    /// Waits until the broker has applied the last acknowledgements.
    pub(crate) async fn applied(&self) {
        let until = locked(&self.stock).stays_until();
        if let Some(until) = until.filter(|_| self.works()) {
            sleep_until(until).await;
        }
    }

    /// The channel is gone, or nothing is left of it: every receipt is over.
    pub(crate) fn end(&self) {
        locked(&self.stock).over();
        self.connection.strike_off(self.nonce);
        self.news.notify_waiters();
        self.poke.notify_one();
    }

    /// The place of a queue of this subscription.
    pub(crate) fn place_of(&self, queue: &QueueName) -> Option<usize> {
        self.queues.iter().position(|one| one == queue)
    }

    pub(crate) fn lines(&self) -> usize {
        self.queues.len() * LINES
    }

    /// Which queue and priority a line is.
    pub(crate) fn line(&self, line: usize) -> (&QueueName, Priority) {
        (&self.queues[line / LINES], Priority::ALL[line % LINES])
    }

    /// Queues the acknowledgements of deliveries, and a question that the broker answers once it has read them.
    pub(crate) fn acknowledge(&self, stock: &mut Stock, tags: &mut [Tag]) -> BoxFuture<'static, Outcome<()>> {
        let acks = stock.end(tags, Instant::now());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for ack in acks {
            let options = BasicAckOptions { multiple: ack.multiple };
            // The first poll queues the frame. It must happen under the lock of the stock: another acknowledgement of
            // "all up to" may be worked out as soon as the tags are gone from it.
            let mut sending = std::pin::pin!(self.channel.basic_ack(ack.tag, options));
            let _: Poll<_> = sending.as_mut().poll(&mut context);
        }
        let channel = self.channel.clone();
        let mut answer: BoxFuture<'static, _> = Box::pin(async move {
            // An acknowledgement has no answer of its own. This one changes nothing, and is answered in its turn.
            channel.channel_flow(ChannelFlowOptions { active: true }).await.map(drop)
        });
        let begun = answer.as_mut().poll(&mut context);
        Box::pin(async move {
            let answered = match begun {
                Poll::Ready(answered) => answered,
                Poll::Pending => answer.await,
            };
            answered.map_err(Failure::in_doubt)
        })
    }

    /// Brings in what a consumer is sent, until it ends.
    pub(crate) async fn pump(self: Arc<Self>, mut consumer: lapin::Consumer, line: usize, turn: u32) {
        let is_classic = self.connection.config.queue_type == QueueType::Classic;
        loop {
            let mut came = Vec::new();
            let is_over = poll_fn(|context| {
                // All that is there, so that the lock is taken once for many.
                loop {
                    match Pin::new(&mut consumer).poll_next(context) {
                        Poll::Ready(Some(Ok(delivery))) => came.push(delivery),
                        Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(true),
                        Poll::Pending if came.is_empty() => return Poll::Pending,
                        Poll::Pending => return Poll::Ready(false),
                    }
                }
            });
            let is_over = is_over.await;
            let now = Instant::now();
            let mut stock = locked(&self.stock);
            for delivery in came {
                let (tag, is_lost) = (delivery.delivery_tag, is_classic && delivery.redelivered);
                let message = Message::read(delivery);
                if is_lost {
                    stock.arrived_lost(line, turn, tag, message, now);
                    self.send(Errand::lost(tag));
                } else {
                    stock.arrived(line, turn, tag, message, now);
                }
            }
            let must_be_tended = stock.must_be_tended() && !stock.demand.has_waiting();
            let was_told = is_over && stock.tap_ended(line, turn);
            drop(stock);
            self.news.notify_waiters();
            if is_over && !was_told {
                // The broker has ended it: the queue was removed, or moved to another node.
                let (queue, priority) = self.line(line);
                self.live.forget(&self.connection.topology.key(&Part::Ready(queue.clone(), priority)));
            }
            if is_over || must_be_tended {
                self.poke.notify_one();
            }
            if is_over {
                return;
            }
        }
    }

    /// The copier ends with the intake, which then has nothing to copy.
    pub(crate) fn send(&self, errand: Errand) {
        let _: Result<(), _> = self.errands.send(errand);
    }
}

/// What jobs of these queues come from.
pub(crate) fn parts(connection: &Connection, queues: &[QueueName]) -> Vec<Part> {
    let ready =
        queues.iter().flat_map(|queue| Priority::ALL.map(|priority| Part::Ready(queue.clone(), priority)));
    let exchange = connection.config.exchange.iter().map(|_| Part::Exchange);
    ready.chain(exchange).collect()
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("queues", &self.queues).finish_non_exhaustive()
    }
}
