//! The driver: each verb of the contract, translated into steps of a dialect.

use std::{fmt, sync::Arc, time::Duration};

use stream_core::{
    Capabilities, Cleared, DeadLetterStore, Delivery, Depth, Driver, Finding, NewJob, Pushed, QueueName,
    Result, Settlement, Subscription, Support, async_trait,
};

use crate::{
    DatabaseConfig, DatabasePool, connection::Connection, dead_letters::DatabaseDeadLetters,
    dialect::Dialect, migration, open, push, row::Key, settle, subscription::DatabaseSubscription,
};

/// Rows of one step of `clear`: short enough not to keep others waiting.
const CLEAR_STEP: usize = 10_000;
/// A larger batch no longer pays: the round trip is a small part of it.
const BATCH: usize = 1_000;

/// A connection to a database that keeps jobs.
///
/// A clone is another handle to the same connection: closing one closes both.
///
/// ```no_run
/// use stream_core::QueueManager;
/// use stream_database::DatabaseDriver;
///
/// # async fn example() -> stream_core::Result<()> {
/// let driver = DatabaseDriver::connect("postgres://localhost/shop").await?;
/// driver.migrate().await?;
/// let queue = QueueManager::new(driver);
/// # drop(queue); Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DatabaseDriver {
    connection: Arc<Connection>,
    dead_letters: DatabaseDeadLetters,
}

impl DatabaseDriver {
    /// Makes a driver for the database at an address: `postgres://` or `postgresql://`.
    ///
    /// It connects when it is first used, so that a worker may start before its server.
    ///
    /// # Errors
    /// `Config` for an address that cannot be read, or of a database that this build leaves out.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, DatabaseConfig::new()).await
    }

    /// As [`connect`](Self::connect), with settings.
    ///
    /// # Errors
    /// `Config` as there, and for settings that cannot be kept.
    pub async fn connect_with(url: &str, config: DatabaseConfig) -> Result<Self> {
        let dialect = open::address(url, &config).await?;
        Ok(Self::of(dialect, config))
    }

    /// Makes a driver on a pool that the program has already.
    ///
    /// The pool keeps its own settings: its size, its timeouts, its TLS. Closing the driver leaves it open.
    ///
    /// # Errors
    /// `Config` for settings that cannot be kept.
    pub async fn from_pool(pool: impl Into<DatabasePool>, config: DatabaseConfig) -> Result<Self> {
        let dialect = open::pool(pool.into(), &config)?;
        Ok(Self::of(dialect, config))
    }

    /// Makes the tables, or brings them up to date; says which version they had before, 0 for none.
    ///
    /// Many processes may do it at once, also while others work jobs.
    ///
    /// # Errors
    /// `Config` without the permission to create tables; `Unavailable` and `OutcomeUnknown`: do it again.
    pub async fn migrate(&self) -> Result<u32> {
        self.connection.write("migrate", || self.connection.dialect.migrate()).await
    }

    /// The migrations as SQL, for those who run such things by hand.
    pub fn migrations(&self) -> String {
        migration::script(self.connection.dialect.steps())
    }

    fn of(dialect: Arc<dyn Dialect>, config: DatabaseConfig) -> Self {
        let connection = Arc::new(Connection::new(dialect, config));
        Self { dead_letters: DatabaseDeadLetters::new(Arc::clone(&connection)), connection }
    }

    /// What `check` says of the tables themselves.
    async fn drift(&self) -> Result<Option<Finding>> {
        let dialect = &self.connection.dialect;
        let wanted = dialect.steps().len();
        let found = self.connection.read("check", || dialect.version()).await?;
        let what = format!("the tables have version {found}, this program wants version {wanted}");
        Ok(match usize::try_from(found).unwrap_or(usize::MAX) {
            found if found == wanted => None,
            0 => Some(Finding::severe("the tables are not there", "call `migrate`")),
            found if found < wanted => Some(Finding::severe(what, "call `migrate`")),
            _ => Some(Finding::advice(what, "bring this program up to date")),
        })
    }
}

impl fmt::Debug for DatabaseDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the address, which holds a password, nor any job.
        f.debug_struct("DatabaseDriver")
            .field("database", &self.connection.dialect.name())
            .field("is_closed", &self.connection.is_closed())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for DatabaseDriver {
    fn name(&self) -> &'static str {
        self.connection.dialect.name()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::full(self.connection.dialect.limits().envelope_bytes_max);
        capabilities.routing = Support::No;
        capabilities.groups = Support::No;
        capabilities.batch = BATCH;
        capabilities
    }

    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        push::push(&self.connection, queue, jobs).await
    }

    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        Ok(Box::new(DatabaseSubscription::open(Arc::clone(&self.connection), queues)?))
    }

    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        settle::settle(&self.connection, queue, settlements).await
    }

    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        settle::extend(&self.connection, queue, deliveries, lease).await
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        let key = Key::of(delivery);
        !self.connection.is_closed() && key.is_some_and(|key| !self.connection.ended.has(key))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        self.connection.read("depth", || self.connection.dialect.depth(queue.as_str())).await
    }

    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        let dialect = &self.connection.dialect;
        let mut removed = 0;
        loop {
            let step = || dialect.clear(queue.as_str(), CLEAR_STEP);
            let more = self.connection.write("clear", step).await?;
            removed += more;
            if more < CLEAR_STEP as u64 {
                return Ok(Cleared::all(Some(removed)));
            }
        }
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        let mut findings: Vec<Finding> = self.drift().await?.into_iter().collect();
        findings.extend(self.connection.read("check", || self.connection.dialect.inspect()).await?);
        Ok(findings)
    }

    async fn close(&self) -> Result<()> {
        self.connection.close().await;
        Ok(())
    }

    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        Some(&self.dead_letters)
    }
}
