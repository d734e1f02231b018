//! The driver: each verb of the contract, translated into steps of a dialect.

use std::{fmt, sync::Arc, time::Duration};

use stream_core::{
    Capabilities, Cleared, DeadLetterStore, Delivery, Depth, Driver, Finding, NewJob, Pushed, QueueName,
    Result, Settlement, Subscription, Support, async_trait,
};

use crate::{
    DatabaseConfig, DatabasePool, DatabaseTransaction,
    connection::Connection,
    dead_letters::DatabaseDeadLetters,
    dialect::Dialect,
    migration, open,
    push::{self, Way},
    row::Key,
    settle,
    subscription::DatabaseSubscription,
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
    /// Makes a driver for the database at an address: `postgres://`, `postgresql://`, `mysql://`, `mariadb://` or
    /// `sqlite:`.
    ///
    /// It connects when it is first used, so that a worker may start before its server. A file of SQLite is made
    /// then, unless the address names another `mode`.
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

    /// Stores jobs in a transaction of the program; answer *i* is for job *i*.
    ///
    /// They are there when it is committed, and never there if it is rolled back. The commit tells the workers
    /// that wait. Delays run from this call. [`PushWithin`](crate::PushWithin) is the same for one job with the
    /// options of a push.
    ///
    /// An error leaves the transaction as it was before the call, and what it did is still done when it is
    /// committed. Each call is a savepoint: push many jobs at once, not each by a call.
    ///
    /// # Errors
    /// `InvalidJob` and `Unsupported` as of any push; `Config` for a transaction of another database.
    /// `Unavailable`: not stored; the connection was lost, or others were in the way: repeat the transaction.
    /// There is no `OutcomeUnknown` before the commit.
    ///
    /// # Cancel safety
    /// Not safe: roll the transaction back after a drop, since a statement may have failed unheard. No deadline
    /// of the driver's own ends it.
    pub async fn push_in<'t>(
        &self,
        transaction: impl Into<DatabaseTransaction<'t>>,
        queue: &QueueName,
        jobs: &[NewJob],
    ) -> Vec<Result<Pushed>> {
        let mut transaction = transaction.into();
        push::push_in(&self.connection, &self.capabilities(), &mut transaction, queue, jobs).await
    }

    /// Ends a delivery as done in a transaction of the program, such as that of the job's handler.
    ///
    /// If it is committed, the job is over together with all that the transaction has written: a handler that
    /// then returns `Ok` is answered as usual, and so is a [`ReservedJob`](stream_core::ReservedJob) that is
    /// completed. If it is rolled back, the job is as it was: its lease runs, and it comes again unless it is
    /// settled.
    ///
    /// While the transaction is open nobody else can take the job, whatever its lease. Any other outcome than
    /// done after the commit is answered `LeaseLost`: there is no job any more that could be tried again.
    ///
    /// Take the delivery from the handler's context at this moment, and settle through this driver or a clone
    /// of it: another driver takes a job that is gone for lost.
    ///
    /// # Errors
    /// `LeaseLost`: the delivery is over; roll back, since somebody else may be at the job. `Config` for a
    /// transaction of another database. `Unavailable`: nothing was changed, repeat the transaction.
    ///
    /// # Cancel safety
    /// As [`push_in`](Self::push_in): roll the transaction back.
    pub async fn complete_in<'t>(
        &self,
        transaction: impl Into<DatabaseTransaction<'t>>,
        queue: &QueueName,
        delivery: &Delivery,
    ) -> Result<()> {
        settle::complete_in(&self.connection, &mut transaction.into(), queue, delivery).await
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
        push::push(&self.connection, Way::Own, queue, jobs).await
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
