//! PostgreSQL: one statement for each step, woken by `LISTEN` and `NOTIFY`.

mod bell;
mod connect;
mod dead;
mod faults;
mod jobs;
mod limits;
mod marks;
mod schema;
mod statements;
mod turns;
mod within;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{PgConnection, PgPool, Postgres as Pg};
use stream_core::{Depth, Finding, Pushed, RateLimit, Result};
use tokio::time::Instant;

use self::{
    bell::Bell,
    jobs::Taken,
    marks::{Levels, Marks},
    statements::Statements,
};
use crate::{
    DatabaseConfig, DatabaseTransaction, Notifications,
    completions::Ticket,
    dialect::{Dialect, Limits, Pace},
    fault::{Failure, Outcome},
    migration::Step,
    names::Names,
    pool::Pool,
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
    pool: Arc<Pool<Pg>>,
    config: DatabaseConfig,
    /// Of the table of jobs, for locks.
    plain_name: String,
    sql: Statements,
    steps: Vec<Step>,
    bell: Bell,
    marks: Marks,
}

impl Postgres {
    /// The database at an address; it connects when it is first used.
    pub(crate) fn connect(url: &str, names: &Names, config: &DatabaseConfig) -> Result<Self> {
        let options = connect::options(url)?;
        Ok(Self::new(Pool::own(options, None, config, faults::connecting), names, config))
    }

    /// The database of a pool that the program has.
    pub(crate) fn of(pool: PgPool, names: &Names, config: &DatabaseConfig) -> Self {
        Self::new(Pool::programs(pool, faults::connecting), names, config)
    }

    fn new(pool: Pool<Pg>, names: &Names, config: &DatabaseConfig) -> Self {
        let pool = Arc::new(pool);
        Self {
            bell: Bell::new(Arc::clone(&pool), &names.plain(), config.notifications),
            pool,
            config: config.clone(),
            plain_name: names.plain(),
            sql: Statements::of(names),
            steps: schema::steps(names),
            marks: Marks::default(),
        }
    }
}

impl Postgres {
    async fn take(&self, queue: &str, take: Take, from: Option<Levels>) -> Outcome<Vec<Taken>> {
        let step = async |connection: &mut PgConnection| {
            jobs::reserve(connection, &self.sql, queue, take, from).await
        };
        self.pool.with(step).await
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
        self.pool
            .with(async |connection| jobs::insert(connection, &self.sql, queue, rows, told.channel()).await)
            .await
    }

    async fn find(&self, queue: &str, rows: &[NewRow<'_>]) -> Outcome<Vec<Option<Pushed>>> {
        self.pool.with(async |connection| jobs::find(connection, &self.sql, queue, rows).await).await
    }

    async fn reserve(&self, queue: &str, mut take: Take) -> Outcome<Vec<Row>> {
        let mut taken = Vec::new();
        if let Some(from) = self.marks.of(queue) {
            taken = self.take(queue, take, Some(from)).await?;
            if taken.len() == take.max_jobs {
                self.marks.advance(queue, jobs::latest(&taken));
                return Ok(jobs::ordered(taken));
            }
            self.marks.forget(queue);
            take.max_jobs -= taken.len();
        }
        let begun = Instant::now();
        match self.take(queue, take, None).await {
            Ok(more) => {
                if more.len() == take.max_jobs {
                    self.marks.begin(queue, jobs::latest(&more), begun.elapsed());
                }
                taken.extend(more);
            }
            // What was taken wins.
            Err(failure) if taken.is_empty() => return Err(failure),
            Err(_) => {}
        }
        Ok(jobs::ordered(taken))
    }

    async fn reserve_limited(&self, queue: &str, take: Take, limit: RateLimit) -> Outcome<Limited> {
        self.pool
            .with(async |connection| limits::reserve(connection, &self.sql, queue, take, limit).await)
            .await
    }

    async fn probe(&self, queues: &[&str]) -> Outcome<Vec<Next>> {
        self.pool.with(async |connection| jobs::probe(connection, &self.sql, queues).await).await
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
        self.pool.with(async |connection| within::have_committed(connection, &self.sql, tickets).await).await
    }

    async fn finish(&self, queue: &str, keys: &[Key]) -> Outcome<Vec<Fenced>> {
        self.pool.with(async |connection| jobs::finish(connection, &self.sql, queue, keys).await).await
    }

    async fn put_back(&self, queue: &str, rows: &[PutBack<'_>]) -> Outcome<Vec<Fenced>> {
        let told = self.bell.begin(queue);
        self.pool
            .with(async |connection| jobs::put_back(connection, &self.sql, queue, rows, told.channel()).await)
            .await
    }

    async fn bury(&self, queue: &str, burials: &[Burial<'_>]) -> Outcome<Vec<Fenced>> {
        self.pool.with(async |connection| dead::bury(connection, &self.sql, queue, burials).await).await
    }

    async fn extend(&self, queue: &str, keys: &[Key], lease: Duration) -> Outcome<Vec<Fenced>> {
        self.pool.with(async |connection| jobs::extend(connection, &self.sql, queue, keys, lease).await).await
    }

    async fn depth(&self, queue: &str) -> Outcome<Depth> {
        self.pool.with(async |connection| jobs::depth(connection, &self.sql, queue).await).await
    }

    async fn clear(&self, queue: &str, max: usize) -> Outcome<u64> {
        self.pool.with(async |connection| jobs::clear(connection, &self.sql, queue, max).await).await
    }

    async fn letters(&self, queue: &str, after: i64, limit: usize) -> Outcome<Vec<Letter>> {
        self.pool
            .with(async |connection| dead::letters(connection, &self.sql, queue, after, limit).await)
            .await
    }

    async fn last_burial(&self, queue: &str) -> Outcome<Option<i64>> {
        self.pool.with(async |connection| dead::last_burial(connection, &self.sql, queue).await).await
    }

    async fn revive(&self, queue: &str, burials: Burials) -> Outcome<Moved> {
        let told = self.bell.begin(queue);
        self.pool
            .with(async |connection| {
                dead::revive(connection, &self.sql, queue, burials, told.channel()).await
            })
            .await
    }

    async fn remove(&self, queue: &str, burials: Burials) -> Outcome<Moved> {
        self.pool.with(async |connection| dead::remove(connection, &self.sql, queue, burials).await).await
    }

    async fn count_letters(&self, queue: &str) -> Outcome<u64> {
        self.pool.with(async |connection| dead::count(connection, &self.sql, queue).await).await
    }

    async fn version(&self) -> Outcome<u32> {
        self.pool.with(async |connection| schema::version(connection, &self.sql).await).await
    }

    async fn migrate(&self) -> Outcome<u32> {
        self.pool
            .with(async |connection| {
                schema::migrate(connection, &self.sql, &self.plain_name, &self.steps).await
            })
            .await
    }

    async fn inspect(&self) -> Outcome<Vec<Finding>> {
        self.pool.with(async |connection| schema::inspect(connection, &self.sql).await).await
    }

    async fn listen(&self, wakes: &Wakes) -> Failure {
        self.bell.listen(wakes, self.config.connect_timeout).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
