//! MySQL and MariaDB: one round trip for nearly every step, looked at where PostgreSQL would tell.

mod connect;
mod dead;
mod faults;
mod insert;
mod jobs;
mod limits;
mod list;
mod schema;
mod script;
mod session;
mod statements;
mod within;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use sqlx::{MySql as My, MySqlConnection, MySqlPool};
use stream_core::{Depth, Finding, Pushed, RateLimit, Result};

use self::{
    session::{Sees, Server, Session},
    statements::Statements,
};
use crate::{
    DatabaseConfig, DatabaseTransaction,
    completions::Ticket,
    dialect::{Dialect, Limits, Pace},
    fault::{Failure, Fault, Outcome},
    migration::Step,
    names::{Names, Quote},
    pool::Pool,
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
    pool: Pool<My>,
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
        let options = connect::options(url)?;
        let pool = Pool::own(options, Some(connect::greet), config, faults::connecting);
        Ok(Self::new(pool, Session::Ours, names, config))
    }

    /// The database of a pool that the program has.
    pub(crate) fn of(pool: MySqlPool, names: &Names, config: &DatabaseConfig) -> Self {
        Self::new(Pool::programs(pool, faults::connecting), Session::Theirs, names, config)
    }

    fn new(pool: Pool<My>, session: Session, names: &Names, config: &DatabaseConfig) -> Self {
        let names = names.quoted_by(Quote::Backtick);
        Self {
            pool,
            session,
            server: Server::default(),
            config: config.clone(),
            plain_name: names.plain(),
            sql: Statements::of(&names),
            steps: schema::steps(&names),
        }
    }

    /// Takes one step on a connection to a server that is known to keep what is promised.
    async fn with<T>(&self, step: impl AsyncFnOnce(&mut MySqlConnection) -> Outcome<T>) -> Outcome<T> {
        let checked = async |connection: &mut MySqlConnection| {
            self.server.ensure(connection, &self.sql).await?;
            step(connection).await
        };
        let outcome = self.pool.with(checked).await;
        if outcome.as_ref().is_err_and(|failure| matches!(failure.fault, Fault::Away | Fault::InDoubt)) {
            self.server.forget();
        }
        outcome
    }

    /// How a transaction begins that changes what it finds.
    fn begin(&self) -> &'static str {
        self.session.begin(Sees::Committed)
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
        self.with(async |connection| {
            let facts = self.server.known();
            insert::insert(connection, &self.sql, &self.sql.find, facts, queue, rows).await
        })
        .await
    }

    async fn find(&self, queue: &str, rows: &[NewRow<'_>]) -> Outcome<Vec<Option<Pushed>>> {
        self.with(async |connection| insert::find(connection, &self.sql.find, queue, rows).await).await
    }

    async fn insert_in(
        &self,
        transaction: &mut DatabaseTransaction<'_>,
        queue: &str,
        rows: &[NewRow<'_>],
    ) -> Outcome<Vec<bool>> {
        within::insert(transaction, &self.sql, self.server.known(), queue, rows).await
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
        self.with(async |connection| within::have_committed(connection, &self.sql, tickets).await).await
    }

    async fn reserve(&self, queue: &str, take: Take) -> Outcome<Vec<Row>> {
        let script = jobs::reserve(&self.sql, queue, take);
        let begin = self.session.begin(Sees::All);
        jobs::taken(&self.with(async |connection| script.alone(connection, begin).await).await?)
    }

    async fn reserve_limited(&self, queue: &str, take: Take, limit: RateLimit) -> Outcome<Limited> {
        let begin = self.begin();
        self.with(async |connection| limits::reserve(connection, begin, &self.sql, queue, take, limit).await)
            .await
    }

    async fn probe(&self, queues: &[&str]) -> Outcome<Vec<Next>> {
        self.with(async |connection| jobs::probe(connection, &self.sql, queues).await).await
    }

    async fn finish(&self, queue: &str, keys: &[Key]) -> Outcome<Vec<Fenced>> {
        let begin = self.begin();
        self.with(async |connection| jobs::finish(connection, begin, &self.sql, queue, keys).await).await
    }

    async fn put_back(&self, queue: &str, rows: &[PutBack<'_>]) -> Outcome<Vec<Fenced>> {
        let begin = self.begin();
        self.with(async |connection| jobs::put_back(connection, begin, &self.sql, queue, rows).await).await
    }

    async fn bury(&self, queue: &str, burials: &[Burial<'_>]) -> Outcome<Vec<Fenced>> {
        let begin = self.begin();
        self.with(async |connection| dead::bury(connection, begin, &self.sql, queue, burials).await).await
    }

    async fn extend(&self, queue: &str, keys: &[Key], lease: Duration) -> Outcome<Vec<Fenced>> {
        let begin = self.begin();
        self.with(async |connection| jobs::extend(connection, begin, &self.sql, queue, keys, lease).await)
            .await
    }

    async fn depth(&self, queue: &str) -> Outcome<Depth> {
        self.with(async |connection| jobs::depth(connection, &self.sql, queue).await).await
    }

    async fn clear(&self, queue: &str, max: usize) -> Outcome<u64> {
        let begin = self.begin();
        self.with(async |connection| jobs::clear(connection, begin, &self.sql, queue, max).await).await
    }

    async fn letters(&self, queue: &str, after: i64, limit: usize) -> Outcome<Vec<Letter>> {
        self.with(async |connection| dead::letters(connection, &self.sql, queue, after, limit).await).await
    }

    async fn last_burial(&self, queue: &str) -> Outcome<Option<i64>> {
        self.with(async |connection| dead::last_burial(connection, &self.sql, queue).await).await
    }

    async fn revive(&self, queue: &str, burials: Burials) -> Outcome<Moved> {
        let begin = self.begin();
        self.with(async |connection| dead::revive(connection, begin, &self.sql, queue, burials).await).await
    }

    async fn remove(&self, queue: &str, burials: Burials) -> Outcome<Moved> {
        let begin = self.begin();
        self.with(async |connection| dead::remove(connection, begin, &self.sql, queue, burials).await).await
    }

    async fn count_letters(&self, queue: &str) -> Outcome<u64> {
        self.with(async |connection| dead::count(connection, &self.sql, queue).await).await
    }

    async fn version(&self) -> Outcome<u32> {
        self.with(async |connection| schema::version(connection, &self.sql).await).await
    }

    async fn migrate(&self) -> Outcome<u32> {
        let patience = self.config.call_timeout / 2;
        // Not given back: it holds a lock that ends with it.
        let mut connection = self.pool.borrow().await?;
        self.server.ensure(&mut connection, &self.sql).await?;
        schema::migrate(&mut connection, &self.sql, &self.plain_name, &self.steps, patience).await
    }

    async fn inspect(&self) -> Outcome<Vec<Finding>> {
        self.with(async |connection| schema::inspect(connection, &self.sql).await).await
    }

    async fn listen(&self, _: &Wakes) -> Failure {
        std::future::pending().await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
