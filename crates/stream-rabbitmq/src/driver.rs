//! The driver: each verb of the contract, translated into AMQP 0-9-1.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use lapin::{
    Connection as AmqpConnection,
    options::{QueueDeclareOptions, QueuePurgeOptions},
    types::FieldTable,
};
use stream_core::{
    Capabilities, Cleared, Counts, DeadLetterStore, DelaySupport, Delivery, Depth, Driver, Finding,
    LeaseSupport, Listing, NewJob, Order, Precision, Priorities, Priority, Pushed, QueueName, Result,
    Settlement, Subscription, Support, async_trait,
};

use crate::{
    RabbitMqConfig, check,
    connection::Connection,
    dead_letters::{RabbitMqDeadLetters, in_doubt},
    error::{At, DRIVER},
    exchange::Exchange,
    fault::Outcome,
    link::{self, Factory},
    push, settle,
    subscription::RabbitMqSubscription,
    together,
    topology::Part,
};

/// A larger batch no longer pays: the round trip is a small part of it.
const BATCH: usize = 1_000;
/// The smallest step of a delay: the lowest level of the delay chain.
const GRAIN: Duration = Duration::from_secs(1);

/// A connection to a RabbitMQ broker, or a cluster of them.
///
/// A clone is another handle to the same connection: closing one closes both.
///
/// ```no_run
/// use stream_core::QueueManager;
/// use stream_rabbitmq::RabbitMqDriver;
///
/// # async fn example() -> stream_core::Result<()> {
/// let driver = RabbitMqDriver::connect("amqp://localhost/%2f").await?;
/// let queue = QueueManager::new(driver);
/// # drop(queue); Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RabbitMqDriver {
    connection: Arc<Connection>,
    dead_letters: RabbitMqDeadLetters,
}

impl RabbitMqDriver {
    /// Makes a driver for the broker at an address: `amqp://user:password@host:port/vhost`, or `amqps://`.
    ///
    /// It connects when it is first used, and again whenever the connection was lost, so that a worker may start before
    /// its broker. It uses two connections, so that the alarm of a broker which stops producers leaves workers running.
    ///
    /// # Errors
    /// `Config` for an address that cannot be read, or of `amqps` without the feature `tls`.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, RabbitMqConfig::new()).await
    }

    /// As [`connect`](Self::connect), with settings.
    ///
    /// # Errors
    /// `Config` as there, and for settings that cannot be kept.
    pub async fn connect_with(url: &str, config: RabbitMqConfig) -> Result<Self> {
        config.check()?;
        Ok(Self::of(&link::to_address(url)?, config))
    }

    /// Makes a driver on connections that the program makes, each time one is needed.
    ///
    /// For a list of hosts, certificates, or other ways to log in. The connections are to have no recovery of their
    /// own: the driver makes new ones.
    ///
    /// ```no_run
    /// use stream_rabbitmq::{RabbitMqConfig, RabbitMqDriver, lapin};
    ///
    /// # async fn example() -> stream_core::Result<()> {
    /// let connect = || lapin::Connection::connect("amqp://localhost/%2f", lapin::ConnectionProperties::default());
    /// let driver = RabbitMqDriver::from_factory(connect, RabbitMqConfig::new()).await?;
    /// # drop(driver); Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Config` for settings that cannot be kept.
    pub async fn from_factory<F, C>(connect: F, config: RabbitMqConfig) -> Result<Self>
    where
        F: Fn() -> C + Send + Sync + 'static,
        C: Future<Output = lapin::Result<AmqpConnection>> + Send + 'static,
    {
        config.check()?;
        let factory: Factory = Arc::new(move || Box::pin(connect()));
        Ok(Self::of(&factory, config))
    }

    fn of(factory: &Factory, config: RabbitMqConfig) -> Self {
        let connection = Arc::new(Connection::new(factory, config));
        Self { dead_letters: RabbitMqDeadLetters::new(connection.clone()), connection }
    }

    /// Declares the queues, whether they are there or not; how many messages each holds.
    async fn counts(&self, queue: &QueueName) -> Outcome<Vec<u64>> {
        self.connection.ensure_open()?;
        let live = self.connection.pushes.live().await?;
        let topology = &self.connection.topology;
        let ready = Priority::ALL.map(|priority| Part::Ready(queue.clone(), priority));
        let parts: Vec<Part> = ready.into_iter().chain([Part::Dead(queue.clone())]).collect();
        topology.ensure(&live, parts.clone()).await?;
        let channel = live.lend().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asked = parts.iter().map(|part| {
            let asked = channel.queue_declare(topology.key(part).into(), passive, FieldTable::default());
            Box::pin(asked) as BoxFuture<'_, lapin::Result<lapin::Queue>>
        });
        let counts =
            live.within(async { together::all(asked).await.into_iter().collect::<lapin::Result<Vec<_>>>() });
        let counts = counts.await.inspect_err(|_| live.forget_all())?;
        channel.give_back();
        Ok(counts.iter().map(|queue| queue.message_count().into()).collect())
    }

    async fn purge(&self, queue: &QueueName) -> Outcome<u64> {
        self.connection.ensure_open()?;
        let live = self.connection.pushes.live().await?;
        let topology = &self.connection.topology;
        let parts = Priority::ALL.map(|priority| Part::Ready(queue.clone(), priority));
        topology.ensure(&live, parts.clone()).await?;
        let channel = live.lend().await?;
        let purges = parts.iter().map(|part| {
            let purge = channel.queue_purge(topology.key(part).into(), QueuePurgeOptions::default());
            Box::pin(purge) as BoxFuture<'_, lapin::Result<u32>>
        });
        let purged =
            live.within(async { together::all(purges).await.into_iter().collect::<lapin::Result<Vec<_>>>() });
        let purged = purged.await.inspect_err(|_| live.forget_all()).map_err(in_doubt)?;
        channel.give_back();
        Ok(purged.into_iter().map(u64::from).sum())
    }
}

impl fmt::Debug for RabbitMqDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the address, which holds a password, nor any job.
        f.debug_struct("RabbitMqDriver")
            .field("is_closed", &self.connection.is_closed())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for RabbitMqDriver {
    fn name(&self) -> &'static str {
        DRIVER
    }

    fn capabilities(&self) -> Capabilities {
        let config = &self.connection.config;
        let mut capabilities = Capabilities::full(config.envelope_bytes_max);
        capabilities.push_delay = DelaySupport::Any { grain: GRAIN };
        capabilities.retry_delay = DelaySupport::Any { grain: GRAIN };
        capabilities.lease = LeaseSupport::Connection { max: Some(config.lease_max()) };
        capabilities.counts = Counts::UnstartedMayCount;
        capabilities.repeated_push = Support::No;
        capabilities.priorities = Priorities::BestEffort;
        capabilities.order = Order::BestEffort;
        capabilities.rate_limit = Support::No;
        let has_keys = config.exchange.as_ref().is_some_and(Exchange::has_keys);
        capabilities.routing = if has_keys { Support::Yes } else { Support::No };
        capabilities.groups = Support::No;
        capabilities.unique = Support::No;
        capabilities.depth = Precision::ReadyOnly;
        capabilities.clear_delayed = Support::No;
        capabilities.dead_letters = Listing::Sampled;
        capabilities.batch = BATCH;
        capabilities
    }

    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        push::push(&self.connection, queue, jobs).await
    }

    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        Ok(Box::new(RabbitMqSubscription::open(self.connection.clone(), queues)?))
    }

    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        settle::settle(&self.connection, queue, settlements).await
    }

    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        settle::extend(&self.connection, queue, deliveries, lease)
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        settle::is_current(&self.connection, delivery)
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        let counts = self.counts(queue).await.map_err(|failure| At("depth").error(failure))?;
        let (ready, dead) = counts.split_at(Priority::ALL.len());
        let mut depth = Depth::new(ready.iter().sum(), 0, 0);
        depth.dead = dead.first().copied();
        Ok(depth)
    }

    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        let purged = self.purge(queue).await.map_err(|failure| At("clear").error(failure))?;
        Ok(Cleared::ready_only(Some(purged)))
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        check::check(&self.connection).await.map_err(|failure| At("check").error(failure))
    }

    async fn close(&self) -> Result<()> {
        self.connection.close().await;
        Ok(())
    }

    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        Some(&self.dead_letters)
    }
}
