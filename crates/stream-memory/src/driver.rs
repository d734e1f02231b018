//! The driver: each verb of the contract as one step under the store's lock.

use std::{fmt, sync::Arc, time::Duration};

use stream_core::{
    Capabilities, Cleared, DeadLetterStore, Delivery, Depth, Driver, Envelope, Finding, NewJob, Pushed,
    QueueName, Result, Settlement, Subscription, Support, async_trait,
};

use crate::{
    MemoryConfig,
    connection::Connection,
    dead_letters::MemoryDeadLetters,
    error,
    receipt::Token,
    state::{Change, Queue},
    subscription::MemorySubscription,
};

/// A connection to a store in the memory of this process.
///
/// A clone is another handle to the same connection: closing one closes both. [`connect`] opens
/// another connection to the same store. The store lives as long as one of its connections.
///
/// A queue that was used once takes some hundred bytes until the store is gone.
///
/// [`connect`]: MemoryDriver::connect
#[derive(Clone)]
pub struct MemoryDriver {
    connection: Arc<Connection>,
    dead_letters: MemoryDeadLetters,
}

impl MemoryDriver {
    /// A new, empty store.
    pub fn new() -> Self {
        Self::with_config(MemoryConfig::new())
    }

    /// A new, empty store with these settings.
    pub fn with_config(config: MemoryConfig) -> Self {
        Self::of(Connection::new(config))
    }

    /// Another connection to the same store, as another process would open it; closed on its own.
    ///
    /// ```
    /// # use stream_core::{Driver, Result};
    /// # use stream_memory::MemoryDriver;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let driver = MemoryDriver::new();
    /// let other = driver.connect();
    /// driver.close().await?;
    /// assert!(driver.check().await.is_err());
    /// assert!(other.check().await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn connect(&self) -> Self {
        Self::of(self.connection.another())
    }

    /// Stores the bytes of another producer, ready at once, whether they are an envelope or not.
    ///
    /// An envelope is stored as a push stores it: not twice by its id, not beside the holder of its
    /// unique key. Other bytes are delivered as `Undecodable`, untouched.
    ///
    /// # Errors
    /// `InvalidJob` for more bytes than an envelope may have; `Unavailable` if the store is full or
    /// this connection closed.
    pub fn push_bytes(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        let MemoryConfig { envelope_bytes_max, capacity } = self.connection.config;
        if bytes.len() > envelope_bytes_max {
            return Err(error::too_large(bytes.len(), envelope_bytes_max));
        }
        let decoded = Envelope::from_bytes(bytes);
        let pushed = self.connection.change("push", queue, |queue, room, now| {
            (queue.push_bytes(decoded, room, now), Change::Wakes)
        })?;
        pushed.map_err(|_| error::full(capacity.unwrap_or(usize::MAX)))
    }

    fn of(connection: Connection) -> Self {
        let connection = Arc::new(connection);
        Self { dead_letters: MemoryDeadLetters::new(Arc::clone(&connection)), connection }
    }
}

impl Default for MemoryDriver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The jobs are left out: their payloads are nobody's business.
        f.debug_struct("MemoryDriver")
            .field("config", &self.connection.config)
            .field("is_closed", &self.connection.is_closed())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for MemoryDriver {
    fn name(&self) -> &'static str {
        error::DRIVER
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::full(self.connection.config.envelope_bytes_max);
        capabilities.routing = Support::No;
        capabilities
    }

    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        let capacity = self.connection.config.capacity.unwrap_or(usize::MAX);
        self.connection.change_each("push", queue, jobs, |queue, room, job, now| {
            let pushed = queue.push(job, room, now).map_err(|_| error::full(capacity))?;
            let change = if matches!(pushed, Pushed::Stored(_)) { Change::Wakes } else { Change::Quiet };
            Ok((pushed, change))
        })
    }

    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        Ok(Box::new(MemorySubscription::open(Arc::clone(&self.connection), queues)?))
    }

    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        self.connection.change_each("settle", queue, settlements, |queue, _, settlement, now| {
            let token = Token::read(&settlement.delivery.receipt);
            let change = token.and_then(|token| queue.settle(token, settlement.outcome, now));
            change.map(|change| ((), change)).ok_or_else(|| error::lease_lost("settle"))
        })
    }

    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        self.connection.change_each("extend", queue, deliveries, |queue, _, delivery, now| {
            let token = Token::read(&delivery.receipt);
            let change = token.and_then(|token| queue.extend(token, lease, now));
            change.map(|change| ((), change)).ok_or_else(|| error::lease_lost("extend"))
        })
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        let Some(token) = Token::read(&delivery.receipt) else { return false };
        self.connection.with("is current", |store, _| store.is_current(token)).unwrap_or(false)
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        self.connection.look("depth", queue, Queue::depth)
    }

    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        let removed =
            self.connection.change("clear", queue, |queue, _, now| (queue.clear(now), Change::Quiet))?;
        Ok(Cleared::all(Some(removed.len() as u64)))
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        let stored = self.connection.with("check", |store, _| store.stored())?;
        let capacity = self.connection.config.capacity.filter(|capacity| stored >= *capacity);
        let full = |capacity| {
            let what = format!("the store is full: it holds its capacity of {capacity} jobs");
            Finding::severe(what, "work or clear its queues and dead letters, or raise the capacity")
        };
        Ok(capacity.map(full).into_iter().collect())
    }

    async fn close(&self) -> Result<()> {
        self.connection.close();
        Ok(())
    }

    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        Some(&self.dead_letters)
    }
}
