//! MySQL and MariaDB: one round trip for nearly every step, looked at where PostgreSQL would tell.

mod dead;
mod faults;
mod insert;
mod jobs;
mod limits;
mod list;
mod pool;
mod schema;
mod script;
mod session;
mod statements;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use sqlx::MySqlPool;
use stream_core::{Depth, Finding, Pushed, RateLimit, Result};

use self::{
    session::{Server, Session},
    statements::Statements,
};
use crate::{
    DatabaseConfig,
    dialect::{Dialect, Limits, Pace},
    fault::{Failure, Outcome},
    migration::Step,
    names::{Names, Quote},
    row::{Burial, Burials, Fenced, Key, Letter, Limited, Moved, NewRow, Next, PutBack, Row, Take},
    wakes::Wakes,
};

/// Rows of one statement: more no longer pay.
const ROWS: usize = 1_000;
/// What a row of a statement takes in its text, an error of the greatest length included.
const ROW_BYTES: usize = 4 * 1024;
/// Payloads of one `insert`: what larger messages cost in memory is no longer worth the round trip.
const BYTES: usize = 4 * 1024 * 1024;
/// MariaDB's default of `max_allowed_packet`, less what a message holds beside a payload.
const ENVELOPE_BYTES_MAX: usize = 16 * 1024 * 1024 - 16 * 1024;
/// The first look after work was found: no database of this make can tell of work.
const POLL: Duration = Duration::from_millis(25);
/// The pause between two looks when nothing has come for long.
const POLL_LONGEST: Duration = Duration::from_secs(1);

/// A database of MySQL or MariaDB.
pub(crate) struct MySql {
    pool: MySqlPool,
    session: Session,
    server: Server,
    config: DatabaseConfig,
    /// Of the table of jobs, for locks.
    plain_name: String,
    sql: Statements,
    steps: Vec<Step>,
}

impl MySql {
    /// The database at an address; it connects when it is first used.
    pub(crate) fn connect(url: &str, names: &Names, config: &DatabaseConfig) -> Result<Self> {
        let server = Server::default();
        let pool = pool::at(url, config, &server)?;
        Ok(Self::new(pool, Session::Ours, server, names, config))
    }

    /// The database of a pool that the program has.
    pub(crate) fn of(pool: MySqlPool, names: &Names, config: &DatabaseConfig) -> Self {
        Self::new(pool, Session::Theirs, Server::default(), names, config)
    }

    fn new(
        pool: MySqlPool,
        session: Session,
        server: Server,
        names: &Names,
        config: &DatabaseConfig,
    ) -> Self {
        let names = names.quoted_by(Quote::Backtick);
        Self {
            pool,
            session,
            server,
            config: config.clone(),
            plain_name: names.plain(),
            sql: Statements::of(&names),
            steps: schema::steps(&names),
        }
    }
}

impl fmt::Debug for MySql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool shows its options, and they the password.
        f.debug_struct("MySql").field("table", &self.plain_name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Dialect for MySql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn limits(&self) -> Limits {
        // Before the first answer of the server nothing is known of it: a larger message is refused then.
        let packet = self.server.known().map_or(usize::MAX, |facts| facts.packet_bytes_max);
        Limits {
            rows: (packet / ROW_BYTES).clamp(1, ROWS),
            bytes: BYTES.min(packet / 2),
            envelope_bytes_max: self.config.envelope_bytes_max.min(ENVELOPE_BYTES_MAX),
        }
    }

    fn pace(&self) -> Pace {
        Pace { shortest: POLL, longest: POLL_LONGEST }
    }

    fn steps(&self) -> &[Step] {
        &self.steps
    }

    async fn insert(&self, queue: &str, rows: &[NewRow<'_>]) -> Outcome<Vec<bool>> {
        let mut connection = self.connection().await?;
        insert::insert(&mut connection, &self.sql, self.server.known(), queue, rows).await
    }

    async fn find(&self, queue: &str, rows: &[NewRow<'_>]) -> Outcome<Vec<Option<Pushed>>> {
        insert::find(&mut *self.connection().await?, &self.sql, queue, rows).await
    }

    async fn reserve(&self, queue: &str, take: Take) -> Outcome<Vec<Row>> {
        let script = jobs::reserve(&self.sql, queue, take);
        jobs::taken(&script.alone_seeing_all(&mut self.connection().await?, self.session).await?)
    }

    async fn reserve_limited(&self, queue: &str, take: Take, limit: RateLimit) -> Outcome<Limited> {
        let mut connection = self.connection().await?;
        limits::reserve(&mut connection, self.session, &self.sql, queue, take, limit).await
    }

    async fn probe(&self, queues: &[&str]) -> Outcome<Vec<Next>> {
        jobs::probe(&mut *self.connection().await?, &self.sql, queues).await
    }

    async fn finish(&self, queue: &str, keys: &[Key]) -> Outcome<Vec<Fenced>> {
        jobs::finish(&mut self.connection().await?, self.session, &self.sql, queue, keys).await
    }

    async fn put_back(&self, queue: &str, rows: &[PutBack<'_>]) -> Outcome<Vec<Fenced>> {
        jobs::put_back(&mut self.connection().await?, self.session, &self.sql, queue, rows).await
    }

    async fn bury(&self, queue: &str, burials: &[Burial<'_>]) -> Outcome<Vec<Fenced>> {
        dead::bury(&mut self.connection().await?, self.session, &self.sql, queue, burials).await
    }

    async fn extend(&self, queue: &str, keys: &[Key], lease: Duration) -> Outcome<Vec<Fenced>> {
        jobs::extend(&mut self.connection().await?, self.session, &self.sql, queue, keys, lease).await
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
        dead::revive(&mut self.connection().await?, self.session, &self.sql, queue, burials).await
    }

    async fn remove(&self, queue: &str, burials: Burials) -> Outcome<Moved> {
        dead::remove(&mut self.connection().await?, self.session, &self.sql, queue, burials).await
    }

    async fn count_letters(&self, queue: &str) -> Outcome<u64> {
        dead::count(&mut *self.connection().await?, &self.sql, queue).await
    }

    async fn version(&self) -> Outcome<u32> {
        schema::version(&mut *self.connection().await?, &self.sql).await
    }

    async fn migrate(&self) -> Outcome<u32> {
        let patience = self.config.call_timeout / 2;
        let connection = self.connection().await?;
        schema::migrate(connection, &self.sql, &self.plain_name, &self.steps, patience).await
    }

    async fn inspect(&self) -> Outcome<Vec<Finding>> {
        schema::inspect(&mut *self.connection().await?, &self.sql).await
    }

    async fn listen(&self, _: &Wakes) -> Failure {
        std::future::pending().await
    }

    async fn close(&self) {
        if self.session == Session::Ours {
            pool::close(&self.pool).await;
        }
    }
}
