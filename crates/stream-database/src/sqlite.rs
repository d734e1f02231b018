//! SQLite: one writer for each process, which takes many calls into one commit.

mod change;
mod clock;
mod dead;
mod faults;
mod file;
mod jobs;
mod limits;
mod pack;
mod schema;
mod statements;
mod transaction;
mod watch;
mod within;
mod writer;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::SqlitePool;
use stream_core::{Depth, Finding, Pushed, RateLimit, Result};

use self::{
    clock::Clock,
    dead::{Bury, Move, To},
    file::File,
    jobs::{Clear, Extend, Finish, Insert, Keyed, Reserve, Wait},
    limits::ReserveLimited,
    schema::{Inspect, Migrate},
    statements::Statements,
    watch::Watch,
    writer::Writer,
};
use crate::{
    DatabaseConfig, DatabaseTransaction, Notifications,
    completions::Ticket,
    dialect::{Dialect, Limits, Pace},
    fault::{Failure, Outcome},
    migration::Step,
    names::Names,
    open::wrong_address,
    row::{Burial, Burials, Fenced, Key, Letter, Limited, Moved, NewRow, Next, PutBack, Row, Take},
    wakes::Wakes,
};

/// Rows of one statement: more no longer pay.
const ROWS: usize = 1_000;
/// Payloads of one `insert`: more would keep other processes from the file for too long.
const BYTES: usize = 4 * 1024 * 1024;
/// A waiting program looks as often as this in any case.
const SAFETY: Duration = Duration::from_secs(1);
/// The first look after work was found, where nobody watches the file.
const POLL: Duration = Duration::from_millis(25);

/// A file of SQLite.
pub(crate) struct Sqlite {
    file: Arc<File>,
    writer: Writer,
    sql: Arc<Statements>,
    clock: Arc<Clock>,
    steps: Vec<Step>,
    config: DatabaseConfig,
    /// Of the table of jobs.
    plain_name: String,
}

impl Sqlite {
    /// The file at an address; it is opened when it is first used.
    pub(crate) fn connect(url: &str, names: &Names, config: &DatabaseConfig) -> Result<Self> {
        Self::new(File::at(url, config)?, names, config)
    }

    /// The file of a pool that the program has.
    pub(crate) fn of(pool: SqlitePool, names: &Names, config: &DatabaseConfig) -> Result<Self> {
        Self::new(File::of(pool, config)?, names, config)
    }

    fn new(file: File, names: &Names, config: &DatabaseConfig) -> Result<Self> {
        if config.schema.is_some() {
            return Err(wrong_address("a file of SQLite has no schemas: leave it out".into()));
        }
        let (file, sql, clock) = (Arc::new(file), Arc::new(Statements::of(names)), Arc::default());
        Ok(Self {
            writer: Writer::new(Arc::clone(&file), Arc::clone(&sql), Arc::clone(&clock)),
            file,
            sql,
            clock,
            steps: schema::steps(names),
            config: config.clone(),
            plain_name: names.plain(),
        })
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("table", &self.plain_name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Dialect for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn limits(&self) -> Limits {
        Limits { rows: ROWS, bytes: BYTES, envelope_bytes_max: self.config.envelope_bytes_max }
    }

    fn pace(&self) -> Pace {
        match self.config.notifications {
            Notifications::On => Pace { shortest: SAFETY, longest: SAFETY },
            Notifications::Off => Pace { shortest: POLL, longest: SAFETY },
        }
    }

    fn steps(&self) -> &[Step] {
        &self.steps
    }

    async fn insert(&self, queue: &str, rows: &[NewRow<'_>]) -> Outcome<Vec<bool>> {
        self.writer.change(Insert::new(queue, rows)).await
    }

    async fn find(&self, queue: &str, rows: &[NewRow<'_>]) -> Outcome<Vec<Option<Pushed>>> {
        self.file.read(async |connection| jobs::find(connection, &self.sql, queue, rows).await).await
    }

    async fn reserve(&self, queue: &str, take: Take) -> Outcome<Vec<Row>> {
        self.writer.change(Reserve { queue: queue.to_owned(), take }).await
    }

    async fn reserve_limited(&self, queue: &str, take: Take, limit: RateLimit) -> Outcome<Limited> {
        self.writer.change(ReserveLimited { queue: queue.to_owned(), take, limit }).await
    }

    async fn probe(&self, queues: &[&str]) -> Outcome<Vec<Next>> {
        self.file
            .read(async |connection| jobs::probe(connection, &self.sql, queues, self.clock.now()).await)
            .await
    }

    async fn insert_in(
        &self,
        transaction: &mut DatabaseTransaction<'_>,
        queue: &str,
        rows: &[NewRow<'_>],
    ) -> Outcome<Vec<bool>> {
        within::insert(transaction, &self.sql, queue, rows, self.clock.now()).await
    }

    async fn find_in(
        &self,
        transaction: &mut DatabaseTransaction<'_>,
        queue: &str,
        rows: &[NewRow<'_>],
    ) -> Outcome<Vec<Option<Pushed>>> {
        within::find(transaction, &self.sql, queue, rows).await
    }

    async fn finish_in(
        &self,
        transaction: &mut DatabaseTransaction<'_>,
        queue: &str,
        key: Key,
    ) -> Outcome<Option<Ticket>> {
        within::finish(transaction, &self.sql, queue, key, self.clock.now()).await
    }

    async fn have_committed(&self, tickets: &[Ticket]) -> Outcome<Vec<bool>> {
        let now = self.clock.now();
        self.file
            .read(async |connection| within::have_committed(connection, &self.sql, tickets, now).await)
            .await
    }

    async fn finish(&self, queue: &str, keys: &[Key]) -> Outcome<Vec<Fenced>> {
        self.writer.change(Finish(Keyed::new(queue, keys.iter().copied()))).await
    }

    async fn put_back(&self, queue: &str, rows: &[PutBack<'_>]) -> Outcome<Vec<Fenced>> {
        self.writer.change(Wait::new(queue, rows)).await
    }

    async fn bury(&self, queue: &str, burials: &[Burial<'_>]) -> Outcome<Vec<Fenced>> {
        self.writer.change(Bury::new(queue, burials)).await
    }

    async fn extend(&self, queue: &str, keys: &[Key], lease: Duration) -> Outcome<Vec<Fenced>> {
        self.writer.change(Extend { keyed: Keyed::new(queue, keys.iter().copied()), lease }).await
    }

    async fn depth(&self, queue: &str) -> Outcome<Depth> {
        self.file
            .read(async |connection| jobs::depth(connection, &self.sql, queue, self.clock.now()).await)
            .await
    }

    async fn clear(&self, queue: &str, max: usize) -> Outcome<u64> {
        self.writer.change(Clear { queue: queue.to_owned(), max }).await
    }

    async fn letters(&self, queue: &str, after: i64, limit: usize) -> Outcome<Vec<Letter>> {
        self.file
            .read(async |connection| dead::letters(connection, &self.sql, queue, after, limit).await)
            .await
    }

    async fn last_burial(&self, queue: &str) -> Outcome<Option<i64>> {
        self.file.read(async |connection| dead::last_burial(connection, &self.sql, queue).await).await
    }

    async fn revive(&self, queue: &str, burials: Burials) -> Outcome<Moved> {
        self.writer.change(Move { queue: queue.to_owned(), burials, to: To::TheirQueue }).await
    }

    async fn remove(&self, queue: &str, burials: Burials) -> Outcome<Moved> {
        self.writer.change(Move { queue: queue.to_owned(), burials, to: To::Nowhere }).await
    }

    async fn count_letters(&self, queue: &str) -> Outcome<u64> {
        self.file
            .read(async |connection| jobs::one_count(connection, &self.sql.count_letters, queue).await)
            .await
    }

    async fn version(&self) -> Outcome<u32> {
        self.file.read(async |connection| schema::version(connection, &self.sql).await).await
    }

    async fn migrate(&self) -> Outcome<u32> {
        // Who may only read can still use tables that are there.
        let found = self.version().await?;
        if found as usize >= self.steps.len() {
            return Ok(found);
        }
        self.writer.change(Migrate { steps: self.steps.clone() }).await
    }

    async fn inspect(&self) -> Outcome<Vec<Finding>> {
        match self.writer.change(Inspect).await {
            Err(failure) if failure.detail.as_deref() == Some(faults::READ_ONLY) => {
                Ok(vec![Finding::severe("the file is read only", "give this process permission to write it")])
            }
            answer => answer,
        }
    }

    async fn listen(&self, wakes: &Wakes) -> Failure {
        if self.config.notifications == Notifications::Off {
            std::future::pending::<()>().await;
        }
        Watch { file: &self.file, sql: &self.sql, clock: &self.clock, wakes }.run().await
    }

    async fn close(&self) {
        self.writer.close().await;
        self.file.close().await;
    }
}
