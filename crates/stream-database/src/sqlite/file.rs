//! The file: how connections to it are opened, borrowed and closed, and whether it is still the same.

use std::{
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, SqlitePool,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use stream_core::Result;
use tokio::time::timeout;

use super::{change::Durability, faults};
use crate::{
    DatabaseConfig,
    fault::{Failure, Fault, Outcome},
    locked::locked,
    open::wrong_address,
};

/// How long a call waits at most for a lock that another process holds.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a close waits for calls that are on their way.
pub(super) const CLOSING: Duration = Duration::from_secs(5);
/// Rows that wait for their reader, so that a statement need not wait for it.
const ROWS_BUFFERED: usize = 1_024;

/// Where connections come from.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    options: SqliteConnectOptions,
    readers: SqlitePool,
    owner: Owner,
    seen: Arc<Mutex<Seen>>,
    pub(super) patience: Duration,
}

/// Whose the pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Driver,
    Program,
}

/// Which file there was at the path, and since when.
#[derive(Debug)]
struct Seen {
    id: Option<FileId>,
    since: Instant,
}

/// What tells a file from another that takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

/// The connection that writes.
pub(super) enum Pen {
    /// Opened for this alone.
    Own(Own),
    /// Of the pool of the program.
    Lent(PoolConnection<Sqlite>),
}

/// A connection that the driver opened.
pub(super) struct Own {
    pub(super) connection: SqliteConnection,
    /// What its commits outlive at present.
    pub(super) durability: Durability,
    /// The file that it was opened on.
    file: Option<FileId>,
}

impl File {
    /// The file of an address; it is opened when it is first used.
    pub(super) fn at(url: &str, config: &DatabaseConfig) -> Result<Self> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|_| wrong_address("this is no address of a file of SQLite".into()))?;
        check_path(&options)?;
        if url.contains("mode=memory") {
            return Err(no_file());
        }
        // A mode that was named stays; who may only read cannot change the journal.
        let options = if url.contains("mode=") { options } else { options.create_if_missing(true) };
        let options =
            if url.contains("mode=ro") { options } else { options.journal_mode(SqliteJournalMode::Wal) };
        let options = options
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(patience(config))
            .row_buffer_size(ROWS_BUFFERED)
            .disable_statement_logging();
        let seen = Arc::new(Mutex::new(Seen { id: None, since: Instant::now() }));
        let readers = readers(&options, config, Arc::clone(&seen));
        Ok(Self::new(options, readers, Owner::Driver, seen, config))
    }

    /// The file of a pool that the program has.
    pub(super) fn of(pool: SqlitePool, config: &DatabaseConfig) -> Result<Self> {
        let options = pool.connect_options().as_ref().clone();
        check_path(&options)?;
        let seen = Arc::new(Mutex::new(Seen { id: None, since: Instant::now() }));
        Ok(Self::new(options, pool, Owner::Program, seen, config))
    }

    fn new(
        options: SqliteConnectOptions,
        readers: SqlitePool,
        owner: Owner,
        seen: Arc<Mutex<Seen>>,
        config: &DatabaseConfig,
    ) -> Self {
        let path = options.get_filename().to_owned();
        Self { path, options, readers, owner, seen, patience: patience(config) }
    }

    /// Borrows a connection that reads.
    pub(super) async fn reader(&self) -> Outcome<PoolConnection<Sqlite>> {
        self.readers.acquire().await.map_err(|error| self.not_opened(error))
    }

    /// Opens a connection of its own, for whoever keeps it.
    pub(super) async fn open(&self) -> Outcome<SqliteConnection> {
        self.options.connect().await.map_err(|error| self.not_opened(error))
    }

    /// Which file is at the path now.
    pub(super) fn id(&self) -> Option<FileId> {
        look(&self.path, &self.seen)
    }

    /// The connection that writes.
    pub(super) async fn pen(&self) -> Outcome<Pen> {
        Ok(match self.owner {
            Owner::Driver => {
                // It waits by itself, and for less long at a time than SQLite does.
                let options = self.options.clone().busy_timeout(Duration::ZERO);
                let connection = options.connect().await.map_err(|error| self.not_opened(error))?;
                let file = self.id();
                Pen::Own(Own { connection, durability: Durability::Synced, file })
            }
            Owner::Program => Pen::Lent(self.reader().await?),
        })
    }

    /// Whether a connection still writes to the file that others find at the path.
    ///
    /// A file that was removed or replaced can be written to for as long as it is open, and is gone then.
    pub(super) fn is_there(&self, pen: &Pen) -> bool {
        match pen {
            Pen::Own(own) => self.id() == own.file,
            Pen::Lent(_) => true,
        }
    }

    pub(super) async fn close(&self) {
        if self.owner == Owner::Driver {
            let _: Result<(), _> = timeout(CLOSING, self.readers.close()).await;
        }
    }

    fn not_opened(&self, error: sqlx::Error) -> Failure {
        let failure = faults::connecting(error);
        let directory = self.path.parent().filter(|directory| !directory.as_os_str().is_empty());
        match directory {
            Some(directory) if failure.fault == Fault::Away && !directory.is_dir() => Failure {
                fault: Fault::Config,
                detail: Some("the directory of the file is not there: create it".into()),
                ..failure
            },
            _ => failure,
        }
    }
}

impl Pen {
    pub(super) async fn close(self) {
        if let Self::Own(own) = self {
            let _: Result<sqlx::Result<()>, _> = timeout(CLOSING, own.connection.close()).await;
        }
    }
}

impl Deref for Pen {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Own(own) => &own.connection,
            Self::Lent(connection) => connection,
        }
    }
}

impl DerefMut for Pen {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Own(own) => &mut own.connection,
            Self::Lent(connection) => connection,
        }
    }
}

/// Jobs in memory would go with a connection, and no other process could see them.
fn check_path(options: &SqliteConnectOptions) -> Result<()> {
    let path = options.get_filename().to_string_lossy();
    // The last is what sqlx makes of `:memory:`.
    if path.is_empty() || path.contains(":memory:") || path.starts_with("file:sqlx-in-memory-") {
        return Err(no_file());
    }
    Ok(())
}

fn no_file() -> stream_core::Error {
    wrong_address("jobs in memory are what stream-memory is for: name a file".into())
}

fn patience(config: &DatabaseConfig) -> Duration {
    PATIENCE.min(config.call_timeout / 2)
}

fn readers(options: &SqliteConnectOptions, config: &DatabaseConfig, seen: Arc<Mutex<Seen>>) -> SqlitePool {
    let path = options.get_filename().to_owned();
    let (new_path, newly_seen) = (path.clone(), Arc::clone(&seen));
    let pool = SqlitePoolOptions::new()
        .max_connections(config.pool_size)
        .acquire_timeout(config.connect_timeout)
        .test_before_acquire(false)
        .after_connect(move |_, _| {
            look(&new_path, &newly_seen);
            Box::pin(async { Ok(()) })
        })
        .before_acquire(move |_, lain| {
            look(&path, &seen);
            let is_of_this_file = lain.age < locked(&seen).since.elapsed();
            Box::pin(async move { Ok(is_of_this_file) })
        });
    pool.connect_lazy_with(options.clone())
}

/// Which file is at the path now.
fn look(path: &Path, seen: &Mutex<Seen>) -> Option<FileId> {
    let id = file_id(path);
    let mut seen = locked(seen);
    if seen.id != id {
        *seen = Seen { id, since: Instant::now() };
    }
    id
}

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = path.metadata().ok()?;
    Some(FileId(metadata.dev(), metadata.ino()))
}

/// Where an open file cannot be removed there is nothing to find out.
#[cfg(not(unix))]
fn file_id(_path: &Path) -> Option<FileId> {
    None
}
