//! What can be set about a connection to RabbitMQ.

use std::time::Duration;

use stream_core::{Error, ErrorKind, Result};

use crate::{error::DRIVER, exchange::Exchange};

/// What the broker takes by default: 16 MiB from RabbitMQ 4.0 on, more before
/// (<https://www.rabbitmq.com/docs/configure>, `max_message_size`).
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Kept for what is written beside an envelope.
const MARGIN_BYTES: usize = 4 * 1024;
/// How long RabbitMQ waits for an acknowledgement by default:
/// <https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout>.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Longest prefix.
const PREFIX_BYTES_MAX: usize = 16;
/// The broker keeps 32 bits of milliseconds: <https://www.rabbitmq.com/docs/ttl#queue-ttl>.
const EXPIRES_MAX: Duration = Duration::from_secs(49 * 24 * 60 * 60);
/// More than a job is ever delivered: the core buries it long before. The broker's own default, 20 from 4.0 on,
/// counts deliveries that the core does not count.
const DELIVERY_LIMIT: u32 = 1_000_000;

/// What can be set about a connection to RabbitMQ.
///
/// ```
/// use std::time::Duration;
/// use stream_rabbitmq::{Confirms, QueueType, RabbitMqConfig};
///
/// let config = RabbitMqConfig::new()
///     .prefix("shop.")
///     .queue_type(QueueType::Quorum)
///     .confirms(Confirms::Window(500))
///     .consumer_timeout(Duration::from_secs(3 * 60 * 60));
/// # drop(config);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RabbitMqConfig {
    pub(crate) prefix: String,
    pub(crate) queue_type: QueueType,
    pub(crate) confirms: Confirms,
    pub(crate) prefetch_max: u16,
    pub(crate) consumer_timeout: Duration,
    pub(crate) delivery_limit: u32,
    pub(crate) expires: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) envelope_bytes_max: usize,
    pub(crate) exchange: Option<Exchange>,
}

/// Which kind of queue holds the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueType {
    /// Replicated; the broker counts deliveries.
    Quorum,
    /// On one node, and gone with it; a lost job is written again before it is handed out.
    Classic,
}

/// How many jobs of one push may wait for the broker's confirm at the same time.
///
/// A push is answered after the confirm of each of its jobs, whatever is set here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirms {
    /// One: each job is confirmed before the next is sent, in their order.
    Each,
    /// Up to so many, at least 1.
    Window(u16),
}

impl RabbitMqConfig {
    /// Quorum queues without prefix, windows of 1,000 confirms, the broker's usual consumer timeout.
    pub fn new() -> Self {
        Self {
            prefix: String::new(),
            queue_type: QueueType::Quorum,
            confirms: Confirms::Window(1_000),
            prefetch_max: 300,
            consumer_timeout: CONSUMER_TIMEOUT,
            delivery_limit: DELIVERY_LIMIT,
            expires: None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            envelope_bytes_max: 4 * 1024 * 1024,
            exchange: None,
        }
    }

    /// Sets what the names of all queues and exchanges begin with; nothing unless set.
    ///
    /// Up to 16 bytes of `A-Z a-z 0-9 _ - .`; else `connect` answers `Config`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the kind of the queues; quorum unless set. A queue keeps the kind that it was first declared with.
    #[must_use]
    pub fn queue_type(mut self, queue_type: QueueType) -> Self {
        self.queue_type = queue_type;
        self
    }

    /// Sets how many jobs may wait for their confirm; windows of 1,000 unless set.
    #[must_use]
    pub fn confirms(mut self, confirms: Confirms) -> Self {
        self.confirms = confirms;
        self
    }

    /// Sets the most jobs that one consumer of a queue has the broker send ahead; 300 unless set.
    ///
    /// It fetches no more than its free slots in any case. Quorum queues take up to 2,000.
    #[must_use]
    pub fn prefetch_max(mut self, jobs: u16) -> Self {
        self.prefetch_max = jobs;
        self
    }

    /// Sets how long the broker waits for an acknowledgement; 30 minutes unless set, as by its own default.
    ///
    /// Say here what `consumer_timeout` says there. No lease lasts longer than 29/30 of it, extensions
    /// included, and a job whose timeout is longer is refused at push.
    #[must_use]
    pub fn consumer_timeout(mut self, timeout: Duration) -> Self {
        self.consumer_timeout = timeout;
        self
    }

    /// Sets after how many deliveries a quorum queue moves a job to the dead letters itself; 1,000,000 unless
    /// set. A net: the consumer gives up on a job long before.
    #[must_use]
    pub fn delivery_limit(mut self, deliveries: u32) -> Self {
        self.delivery_limit = deliveries;
        self
    }

    /// Sets after how long the broker removes a queue that nobody uses, with the jobs in it; never unless set.
    ///
    /// In steps of a millisecond. Pushing to a queue is no use of it, taking from it is. For tests, and for
    /// queues whose jobs are worth nothing without a worker.
    #[must_use]
    pub fn expires(mut self, unused: Duration) -> Self {
        self.expires = Some(unused);
        self
    }

    /// Sets how long a connection may take to be made; 5 seconds unless set. Then a call is `Unavailable`.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long one step of a call may take; 30 seconds unless set.
    ///
    /// Then what was to be written is `OutcomeUnknown`, what was to be read `Unavailable`.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sets the most bytes of an encoded envelope, which the core checks at push; 4 MiB unless set.
    ///
    /// At most 16 MiB less 4 KiB, what RabbitMQ 4 takes by default; else `connect` answers `Config`.
    #[must_use]
    pub fn envelope_bytes_max(mut self, bytes: usize) -> Self {
        self.envelope_bytes_max = bytes;
        self
    }

    /// Sets an exchange that jobs are pushed to, with the queues bound to it; none unless set.
    #[must_use]
    pub fn exchange(mut self, exchange: Exchange) -> Self {
        self.exchange = Some(exchange);
        self
    }

    /// The longest lease, extensions included: the broker must not be the first to end it.
    pub(crate) fn lease_max(&self) -> Duration {
        self.consumer_timeout / 30 * 29
    }

    pub(crate) fn window(&self) -> usize {
        match self.confirms {
            Confirms::Each => 1,
            Confirms::Window(jobs) => usize::from(jobs),
        }
    }

    /// Refuses settings that cannot be kept.
    pub(crate) fn check(&self) -> Result<()> {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let wrong = |detail: &str| Err(Error::new(ErrorKind::Config, DRIVER, "connect").explained(detail));
        if self.prefix.len() > PREFIX_BYTES_MAX || !self.prefix.bytes().all(is_legal) {
            return wrong("the prefix has up to 16 bytes of A-Z a-z 0-9 _ - .");
        }
        if self.window() == 0 || self.prefetch_max == 0 || self.delivery_limit == 0 {
            return wrong("the window of confirms, the prefetch and the delivery limit must be at least 1");
        }
        if self.connect_timeout.is_zero() || self.call_timeout.is_zero() {
            return wrong("a timeout of zero ends every call");
        }
        if self.expires.is_some_and(|unused| unused.as_millis() == 0 || unused > EXPIRES_MAX) {
            return wrong("an unused queue expires after 1 millisecond to 49 days");
        }
        if self.consumer_timeout < Duration::from_secs(1) {
            return wrong("the consumer timeout is at least one second");
        }
        if self.envelope_bytes_max > MESSAGE_BYTES_MAX - MARGIN_BYTES {
            return wrong("an envelope has at most 16 MiB less 4 KiB");
        }
        self.exchange.as_ref().map_or(Ok(()), Exchange::check)
    }
}

impl Default for RabbitMqConfig {
    fn default() -> Self {
        Self::new()
    }
}
