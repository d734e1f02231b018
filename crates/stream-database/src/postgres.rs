//! PostgreSQL: one statement for each step, woken by `LISTEN` and `NOTIFY`.

mod bell;
mod dead;
mod faults;
mod jobs;
mod limits;
mod pool;
mod schema;
mod statements;
mod within;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use sqlx::PgPool;
use stream_core::{Depth, Finding, Pushed, RateLimit, Result};

use self::{bell::Bell, statements::Statements};
use crate::{
    DatabaseConfig, DatabaseTransaction, Notifications,
    completions::Ticket,
    dialect::{Dialect, Limits, Pace},
    fault::{Failure, Outcome},
    migration::Step,
    names::Names,
    row::{Burial, Burials, Fenced, Key, Letter, Limited, Moved, NewRow, Next, PutBack, Row, Take},
    wakes::Wakes,
};

/// Rows of one statement: more no longer pay, and `place` counts to 32,767.
const ROWS: usize = 1_000;
/// Payloads of one `insert`: what larger messages cost in memory is no longer worth the round trip.
const BYTES: usize = 4 * 1024 * 1024;
/// A notification may be lost with its connection: a waiting program looks as often as this in any case.
const SAFETY: Duration = Duration::from_secs(1);
/// The first look after work was found, where nothing notifies.
const POLL: Duration = Duration::from_millis(25);

/// A database of PostgreSQL.
pub(crate) struct Postgres {
    pool: PgPool,
    owns_pool: bool,
    config: DatabaseConfig,
    /// Of the table of jobs, for locks.
    plain_name: String,
    sql: Statements,
    steps: Vec<Step>,
    bell: Bell,
}

impl Postgres {
    /// The database at an address; it connects when it is first used.
    pub(crate) fn connect(url: &str, names: &Names, config: &DatabaseConfig) -> Result<Self> {
        Ok(Self::new(pool::at(url, config)?, true, names, config))
    }

    /// The database of a pool that the program has.
    pub(crate) fn of(pool: PgPool, names: &Names, config: &DatabaseConfig) -> Self {
        Self::new(pool, false, names, config)
    }

    fn new(pool: PgPool, owns_pool: bool, names: &Names, config: &DatabaseConfig) -> Self {
        Self {
            bell: Bell::new(pool.clone(), &names.plain(), config.notifications),
            pool,
            owns_pool,
            config: config.clone(),
            plain_name: names.plain(),
            sql: Statements::of(names),
            steps: schema::steps(names),
        }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool shows its options, and they the password.
        f.debug_struct("Postgres").field("table", &self.plain_name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Dialect for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
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
        let told = self.bell.begin(queue);
        jobs::insert(&mut *self.connection().await?, &self.sql, queue, rows, told.channel()).await
    }

    async fn find(&self, queue: &str, rows: &[NewRow<'_>]) -> Outcome<Vec<Option<Pushed>>> {
        jobs::find(&mut *self.connection().await?, &self.sql, queue, rows).await
    }

    async fn reserve(&self, queue: &str, take: Take) -> Outcome<Vec<Row>> {
        jobs::reserve(&mut *self.connection().await?, &self.sql, queue, take).await
    }

    async fn reserve_limited(&self, queue: &str, take: Take, limit: RateLimit) -> Outcome<Limited> {
        limits::reserve(&mut *self.connection().await?, &self.sql, queue, take, limit).await
    }

    async fn probe(&self, queues: &[&str]) -> Outcome<Vec<Next>> {
        jobs::probe(&mut *self.connection().await?, &self.sql, queues).await
    }

    async fn insert_in(
        &self,
        transaction: &mut DatabaseTransaction<'_>,
        queue: &str,
        rows: &[NewRow<'_>],
    ) -> Outcome<Vec<bool>> {
        within::insert(transaction, &self.sql, queue, rows, self.bell.channel()).await
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
        within::finish(transaction, &self.sql, queue, key).await
    }

    async fn have_committed(&self, tickets: &[Ticket]) -> Outcome<Vec<bool>> {
        within::have_committed(&mut *self.connection().await?, &self.sql, tickets).await
    }

    async fn finish(&self, queue: &str, keys: &[Key]) -> Outcome<Vec<Fenced>> {
        jobs::finish(&mut *self.connection().await?, &self.sql, queue, keys).await
    }

    async fn put_back(&self, queue: &str, rows: &[PutBack<'_>]) -> Outcome<Vec<Fenced>> {
        let told = self.bell.begin(queue);
        jobs::put_back(&mut *self.connection().await?, &self.sql, queue, rows, told.channel()).await
    }

    async fn bury(&self, queue: &str, burials: &[Burial<'_>]) -> Outcome<Vec<Fenced>> {
        dead::bury(&mut *self.connection().await?, &self.sql, queue, burials).await
    }

    async fn extend(&self, queue: &str, keys: &[Key], lease: Duration) -> Outcome<Vec<Fenced>> {
        jobs::extend(&mut *self.connection().await?, &self.sql, queue, keys, lease).await
    }

    async fn depth(&self, queue: &str) -> Outcome<Depth> {
        jobs::depth(&mut *self.connection().await?, &self.sql, queue).await
    }

    async fn clear(&self, queue: &str, max: usize) -> Outcome<u64> {
        jobs::clear(&mut *self.connection().await?, &self.sql, queue, max).await
    }

    async fn letters(&self, queue: &str, after: i64, limit: usize) -> Outcome<Vec<Letter>> {
        dead::letters(&mut *self.connection().await?, &self.sql, queue, after, limit).await
    }

    async fn last_burial(&self, queue: &str) -> Outcome<Option<i64>> {
        dead::last_burial(&mut *self.connection().await?, &self.sql, queue).await
    }

    async fn revive(&self, queue: &str, burials: Burials) -> Outcome<Moved> {
        let told = self.bell.begin(queue);
        dead::revive(&mut *self.connection().await?, &self.sql, queue, burials, told.channel()).await
    }

    async fn remove(&self, queue: &str, burials: Burials) -> Outcome<Moved> {
        dead::remove(&mut *self.connection().await?, &self.sql, queue, burials).await
    }

    async fn count_letters(&self, queue: &str) -> Outcome<u64> {
        dead::count(&mut *self.connection().await?, &self.sql, queue).await
    }

    async fn version(&self) -> Outcome<u32> {
        schema::version(&mut *self.connection().await?, &self.sql).await
    }

    async fn migrate(&self) -> Outcome<u32> {
        schema::migrate(&mut *self.connection().await?, &self.sql, &self.plain_name, &self.steps).await
    }

    async fn inspect(&self) -> Outcome<Vec<Finding>> {
        schema::inspect(&mut *self.connection().await?, &self.sql).await
    }

    async fn listen(&self, wakes: &Wakes) -> Failure {
        self.bell.listen(wakes, self.config.connect_timeout).await
    }

    async fn close(&self) {
        if self.owns_pool {
            pool::close(&self.pool).await;
        }
    }
}
