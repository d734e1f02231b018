//! The file: how connections to it are opened, borrowed and closed, and whether it is still the same.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use stream_core::Result;
use tokio::time::timeout;

use super::{change::Durability, faults, watch::Looks};
use crate::{
    DatabaseConfig,
    fault::{Failure, Fault, Outcome},
    locked::locked,
    open::wrong_address,
    pool::{Borrowed, Pool},
};

/// How long a call waits at most for a lock that another process holds.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a close waits for calls that are on their way.
pub(super) const CLOSING: Duration = Duration::from_secs(5);
/// Rows that wait for their reader, so that a statement need not wait for it.
const ROWS_BUFFERED: usize = 1_024;

/// Where connections come from.
pub(super) struct File {
    path: PathBuf,
    options: SqliteConnectOptions,
    config: DatabaseConfig,
    owner: Owner,
    readers: Mutex<Readers>,
    pub(super) patience: Duration,
}

/// Whose the pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Driver,
    Program,
}

/// Connections that read, and the file that they were opened on.
struct Readers {
    file: Option<FileId>,
    pool: Arc<Pool<Sqlite>>,
}

/// What tells a file from another that takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

/// The connection that writes.
pub(super) enum Pen {
    /// Opened for this alone.
    Own(Own),
    /// Of the pool of the program.
    Lent(Borrowed<Sqlite>),
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
        let pool = Pool::own(options.clone(), None, config, faults::connecting);
        Ok(Self::new(options, pool, Owner::Driver, config))
    }

    /// The file of a pool that the program has.
    pub(super) fn of(pool: SqlitePool, config: &DatabaseConfig) -> Result<Self> {
        let pool = Pool::programs(pool, faults::connecting);
        let options = pool.options();
        check_path(&options)?;
        Ok(Self::new(options, pool, Owner::Program, config))
    }

    fn new(options: SqliteConnectOptions, pool: Pool<Sqlite>, owner: Owner, config: &DatabaseConfig) -> Self {
        let path = options.get_filename().to_owned();
        let readers = Mutex::new(Readers { file: file_id(&path), pool: Arc::new(pool) });
        Self { path, options, config: config.clone(), owner, readers, patience: patience(config) }
    }

    /// Takes one step on a connection that reads.
    pub(super) async fn read<T>(
        &self,
        step: impl AsyncFnOnce(&mut SqliteConnection) -> Outcome<T>,
    ) -> Outcome<T> {
        self.readers().with(step).await.map_err(|failure| self.not_opened(failure))
    }

    async fn borrow(&self) -> Outcome<Borrowed<Sqlite>> {
        self.readers().borrow().await.map_err(|failure| self.not_opened(failure))
    }

    /// The connections that read the file which is there now.
    fn readers(&self) -> Arc<Pool<Sqlite>> {
        let file = self.id();
        let mut readers = locked(&self.readers);
        if self.owner == Owner::Driver && readers.file != file {
            if readers.file.is_some() {
                let pool = Pool::own(self.options.clone(), None, &self.config, faults::connecting);
                readers.pool = Arc::new(pool);
            }
            readers.file = file;
        }
        Arc::clone(&readers.pool)
    }

    /// Opens a connection of its own, for whoever keeps it.
    pub(super) async fn open(&self) -> Outcome<SqliteConnection> {
        self.options.connect().await.map_err(|error| self.not_opened(faults::connecting(error)))
    }

    /// Which file is at the path now.
    pub(super) fn id(&self) -> Option<FileId> {
        file_id(&self.path)
    }

    /// How the file and its log look to the system; none where that does not tell of every change.
    pub(super) fn looks(&self) -> Option<Looks> {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let look = |path: &Path| {
            let metadata = path.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        cfg!(unix).then(|| Looks([look(&self.path), look(Path::new(&log))]))
    }

    /// The connection that writes.
    pub(super) async fn pen(&self) -> Outcome<Pen> {
        Ok(match self.owner {
            Owner::Driver => {
                // It waits by itself, and for less long at a time than SQLite does.
                let options = self.options.clone().busy_timeout(Duration::ZERO);
                let connection = options.connect().await;
                let connection = connection.map_err(|error| self.not_opened(faults::connecting(error)))?;
                let file = self.id();
                Pen::Own(Own { connection, durability: Durability::Synced, file })
            }
            Owner::Program => Pen::Lent(self.borrow().await?),
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
        self.readers().close().await;
    }

    fn not_opened(&self, failure: Failure) -> Failure {
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

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Pen {
    /// What is kept of it while nobody writes: one of the program's pool goes back there.
    pub(super) fn kept(self) -> Option<Self> {
        match self {
            Self::Own(_) => Some(self),
            Self::Lent(connection) => {
                let _: Outcome<()> = connection.give_back(Ok(()));
                None
            }
        }
    }

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
