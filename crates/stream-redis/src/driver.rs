//! The driver: each verb of the contract, translated into scripts.

use std::{fmt, sync::Arc, time::Duration};

use fred::{clients::Client, types::Value, types::config::Config};
use stream_core::{
    Capabilities, Cleared, DeadLetterStore, Delivery, Depth, Driver, Finding, NewJob, Pushed, QueueName,
    Result, Settlement, Subscription, Support, async_trait,
};

use crate::{
    RedisConfig,
    call::{Connection, put_keys},
    dead_letters::RedisDeadLetters,
    error::{At, DRIVER},
    judge,
    link::{Link, Source},
    push,
    receipt::Lease,
    reply::Reply,
    script::{CLEAR, DEPTH},
    settle,
    subscription::RedisSubscription,
};

/// Jobs of one step of `clear`: short enough not to keep others waiting.
const CLEAR_STEP: i64 = 500;

/// A connection to a Redis that keeps jobs.
///
/// A clone is another handle to the same connection: closing one closes both.
///
/// ```no_run
/// use stream_core::QueueManager;
/// use stream_redis::RedisDriver;
///
/// # async fn example() -> stream_core::Result<()> {
/// let driver = RedisDriver::connect("redis://localhost:6379").await?;
/// let queue = QueueManager::new(driver);
/// # drop(queue); Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisDriver {
    connection: Arc<Connection>,
    dead_letters: RedisDeadLetters,
}

impl RedisDriver {
    /// Makes a driver for the server at an address.
    ///
    /// `redis://user:password@host:6379/0` is one server, `redis-cluster://host:7000?node=other:7001` a
    /// cluster; `rediss://` and `rediss-cluster://` are the same over TLS, with the feature `tls`. It
    /// connects when it is first used, so that a worker may start before its server.
    ///
    /// # Errors
    /// `Config` for an address that cannot be read.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, RedisConfig::new()).await
    }

    /// As [`connect`](Self::connect), with settings.
    ///
    /// # Errors
    /// `Config` as there, and for settings that cannot be kept.
    pub async fn connect_with(url: &str, config: RedisConfig) -> Result<Self> {
        let config = config.checked()?;
        let address = address(url)?;
        Ok(Self::of(Source::Address(Box::new(address)), config))
    }

    /// Makes a driver on a client that the program has already, and that connects by itself.
    ///
    /// It keeps its own settings; a second client, for waiting, is made like it. Closing the driver
    /// leaves it open.
    ///
    /// # Errors
    /// `Config` for settings that cannot be kept.
    pub async fn from_client(client: Client, config: RedisConfig) -> Result<Self> {
        Ok(Self::of(Source::Client(client), config.checked()?))
    }

    fn of(source: Source, config: RedisConfig) -> Self {
        let connection = Arc::new(Connection::new(Link::new(source, &config), config));
        Self { dead_letters: RedisDeadLetters::new(connection.clone()), connection }
    }
}

fn address(url: &str) -> Result<Config> {
    let at = At::reads("connect");
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let is_known =
        ["redis", "rediss", "valkey", "valkeys"].contains(&scheme.split('-').next().unwrap_or(scheme));
    let is_encrypted = scheme.starts_with("rediss") || scheme.starts_with("valkeys");
    if !is_known {
        return Err(at.config("an address begins with redis://, rediss:// or redis-cluster://"));
    }
    if is_encrypted && cfg!(not(feature = "tls")) {
        return Err(at.config("build stream-redis with its feature `tls` for encrypted connections"));
    }
    // The client's words quote the address, and with it the password.
    Config::from_url(url).map_err(|_| at.config("the address cannot be read"))
}

impl fmt::Debug for RedisDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the address, which holds a password, nor any job.
        f.debug_struct("RedisDriver")
            .field("prefix", &self.connection.config.prefix)
            .field("is_closed", &self.connection.link.is_closed())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for RedisDriver {
    fn name(&self) -> &'static str {
        DRIVER
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::full(self.connection.config.envelope_bytes_max);
        capabilities.routing = Support::No;
        capabilities.groups = Support::No;
        capabilities.batch = push::STEP;
        capabilities
    }

    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        push::push(&self.connection, queue, jobs).await
    }

    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        Ok(Box::new(RedisSubscription::open(self.connection.clone(), queues)?))
    }

    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        settle::settle(&self.connection, queue, settlements).await
    }

    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        settle::extend(&self.connection, queue, deliveries, lease).await
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        let lease = Lease::of(delivery);
        !self.connection.link.is_closed() && lease.is_some_and(|lease| !self.connection.ended.has(lease))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        let at = At::reads("depth");
        let keys = self.connection.keys(queue);
        let arguments = |to: &mut Vec<Value>| put_keys(to, keys.waiting().chain([&keys.dead]));
        let frame = self.connection.run(at, keys.slot, &DEPTH, arguments).await?;
        let counts: Option<Vec<u64>> = frame
            .list()
            .and_then(|counts| counts.iter().map(|count| count.number()?.try_into().ok()).collect());
        let Some([ready, delayed, reserved, dead]) = counts.as_deref() else { return Err(at.unreadable()) };
        let mut depth = Depth::new(*ready, *delayed, *reserved);
        depth.dead = Some(*dead);
        Ok(depth)
    }

    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        let at = At::writes("clear");
        let keys = self.connection.keys(queue);
        let arguments = |to: &mut Vec<Value>| {
            let common = [&keys.jobs, &keys.notes, &keys.unique, &keys.claims];
            put_keys(to, common.into_iter().chain(keys.waiting()));
            to.push(Value::Integer(CLEAR_STEP));
        };
        let mut removed = 0;
        loop {
            let frame = self.connection.run_confirmed(at, keys.slot, &CLEAR, arguments).await?;
            let more = frame.number().ok_or_else(|| at.unreadable())?;
            removed += more.unsigned_abs();
            if more < CLEAR_STEP {
                return Ok(Cleared::all(Some(removed)));
            }
        }
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        judge::findings(&self.connection).await
    }

    async fn close(&self) -> Result<()> {
        self.connection.link.close().await;
        self.connection.bells.wake_all();
        Ok(())
    }

    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        Some(&self.dead_letters)
    }
}
