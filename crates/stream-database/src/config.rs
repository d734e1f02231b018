//! What can be set about a connection to a database.

use std::time::Duration;

use stream_core::{Error, ErrorKind, Result};

use crate::{dialect::Pace, error::DRIVER, names::Names};

/// What can be set about a connection to a database.
///
/// ```
/// use std::time::Duration;
/// use stream_database::DatabaseConfig;
///
/// let config = DatabaseConfig::new().prefix("shop_").pool_size(20).call_timeout(Duration::from_secs(10));
/// # drop(config);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    table: String,
    prefix: String,
    pub(crate) schema: Option<String>,
    poll: Option<(Duration, Duration)>,
    pub(crate) pool_size: u32,
    pub(crate) notifications: Notifications,
    pub(crate) connect_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) envelope_bytes_max: usize,
}

/// Whether waiting programs are woken by the database, where it can do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notifications {
    /// On PostgreSQL by `LISTEN` on one connection of its own, and `NOTIFY`; on SQLite by asking every 20 ms
    /// whether the file has changed.
    On,
    /// Waiting programs look at the store, more rarely the longer nothing comes.
    ///
    /// For poolers that share a session between programs, such as PgBouncer in transaction mode.
    Off,
}

impl DatabaseConfig {
    /// The table `jobs` without prefix, 10 connections, envelopes of up to 16 MiB, notifications on.
    pub fn new() -> Self {
        Self {
            table: "jobs".into(),
            prefix: String::new(),
            schema: None,
            poll: None,
            pool_size: 10,
            notifications: Notifications::On,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            // More than any job should carry; each reserve reads it whole.
            envelope_bytes_max: 16 * 1024 * 1024,
        }
    }

    /// Sets the name of the table of jobs; `jobs` unless set. The other tables are named after it.
    ///
    /// Of `a-z`, `0-9` and `_`, with the prefix at most 46 bytes; else `connect` answers `Config`.
    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Sets what the names of all tables begin with; nothing unless set.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the schema of the tables; where the connection looks first unless set.
    ///
    /// `migrate` does not create it.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Sets how many connections `connect` opens at most, one for waiting not counted; 10 unless set.
    #[must_use]
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool_size = connections;
        self
    }

    /// Sets how often a waiting program looks at the store: first after `shortest`, at last every `longest`.
    ///
    /// Unless set: where notifications wake it every second, to be safe; elsewhere as the database allows.
    #[must_use]
    pub fn poll_intervals(mut self, shortest: Duration, longest: Duration) -> Self {
        self.poll = Some((shortest, longest));
        self
    }

    /// Sets whether the database wakes waiting programs; on unless set.
    #[must_use]
    pub fn notifications(mut self, notifications: Notifications) -> Self {
        self.notifications = notifications;
        self
    }

    /// Sets how long a call waits for a connection; 5 seconds unless set. Then it is `Unavailable`.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long one step of a call may take in all; 30 seconds unless set.
    ///
    /// Then what was to be written is `OutcomeUnknown`, what was to be read `Unavailable`.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sets the most bytes of an encoded envelope, which the core checks at push; 16 MiB unless set.
    ///
    /// A dialect whose database takes less declares less.
    #[must_use]
    pub fn envelope_bytes_max(mut self, bytes: usize) -> Self {
        self.envelope_bytes_max = bytes;
        self
    }

    /// The names of the tables, if all settings are sound.
    pub(crate) fn checked(&self) -> Result<Names> {
        let names = Names::new(self.schema.as_deref(), &self.prefix, &self.table)?;
        let wrong = |detail: &str| Err(Error::new(ErrorKind::Config, DRIVER, "connect").explained(detail));
        if self.pool_size == 0 {
            return wrong("the pool needs at least one connection");
        }
        if self.connect_timeout.is_zero() || self.call_timeout.is_zero() {
            return wrong("a timeout of zero ends every call");
        }
        match self.poll {
            Some((shortest, longest)) if shortest.is_zero() || shortest > longest => {
                wrong("the shortest poll interval must be above zero and at most the longest")
            }
            _ => Ok(names),
        }
    }

    /// The intervals that were set, or those of the dialect.
    pub(crate) fn pace(&self, otherwise: Pace) -> Pace {
        self.poll.map_or(otherwise, |(shortest, longest)| Pace { shortest, longest })
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self::new()
    }
}
