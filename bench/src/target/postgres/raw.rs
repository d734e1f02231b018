//! The statements of the driver, sent by hand.

use std::{collections::HashMap, ops::Range, sync::Arc};

use anyhow::{Context as _, Result};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqlSafeStr as _,
    postgres::{PgListener, PgRow},
    types::Uuid,
};
use stream_core::{JobId, QueueName, async_trait};
use tokio::{sync::Mutex, task::JoinSet};

use super::PREFIX;
use crate::{
    job::{Kind, raw_job, raw_number, raw_run},
    target::{RawLoop, Shape},
};

/// What a lease lasts, in microseconds: nothing comes back during a round.
const LEASE: i64 = 3_600_000_000;

/// Statements on connections of its own.
pub(super) struct PostgresLoop {
    url: String,
    queue: String,
    sql: Arc<Sql>,
    /// As many as were ever needed at once; the first is opened before any time is taken.
    idle: Mutex<Vec<PgConnection>>,
    listener: Mutex<PgListener>,
}

/// The statements as the driver has them.
struct Sql {
    insert: Arc<str>,
    reserve: Arc<str>,
    finish: Arc<str>,
    put_back: Arc<str>,
}

/// A job that was taken.
struct Taken {
    id: Uuid,
    bytes: Vec<u8>,
}

impl Sql {
    fn new() -> Self {
        macro_rules! statement {
            ($name:literal) => {
                rendered(include_str!(concat!(
                    "../../../../crates/stream-database/src/postgres/sql/",
                    $name,
                    ".sql"
                )))
            };
        }
        Self {
            insert: statement!("insert"),
            reserve: statement!("reserve"),
            finish: statement!("finish"),
            put_back: statement!("put_back"),
        }
    }
}

fn rendered(sql: &str) -> Arc<str> {
    sql.replace("{+", &format!("{PREFIX}jobs_")).replace('}', "").into()
}

impl PostgresLoop {
    pub(super) async fn open(url: String, queue: &QueueName) -> Result<Self> {
        let listener = PgListener::connect(&url).await?;
        let sql = Sql::new();
        let mut first = PgConnection::connect(&url).await?;
        for statement in [&sql.insert, &sql.reserve, &sql.finish, &sql.put_back] {
            // As the driver, which has sent them before.
            first.prepare(AssertSqlSafe(Arc::clone(statement)).into_sql_str()).await?;
        }
        Ok(Self {
            url,
            queue: queue.as_str().to_owned(),
            sql: Arc::new(sql),
            idle: Mutex::new(vec![first]),
            listener: Mutex::new(listener),
        })
    }

    fn channel(&self) -> String {
        format!("raw_{}", self.queue)
    }

    async fn borrow(&self) -> Result<Session> {
        let idle = self.idle.lock().await.pop();
        let connection = match idle {
            Some(connection) => connection,
            None => PgConnection::connect(&self.url).await?,
        };
        Ok(Session { connection, queue: self.queue.clone(), sql: Arc::clone(&self.sql) })
    }

    async fn give_back(&self, session: Session) {
        self.idle.lock().await.push(session.connection);
    }
}

/// A connection in use.
struct Session {
    connection: PgConnection,
    queue: String,
    sql: Arc<Sql>,
}

impl Session {
    async fn insert(&mut self, payloads: &[Vec<u8>], channel: Option<&str>) -> Result<()> {
        let ids: Vec<Uuid> = payloads.iter().map(|_| Uuid::from_bytes(*JobId::new().as_bytes())).collect();
        let count = payloads.len();
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        let stored = sqlx::query(AssertSqlSafe(Arc::clone(&self.sql.insert)))
            .bind(&self.queue)
            .bind(ids)
            .bind(payloads)
            .bind(vec![2_i16; count])
            .bind(vec![0_i64; count])
            .bind(vec![None::<&[u8]>; count])
            .bind(channel)
            .fetch_one(&mut self.connection)
            .await?;
        let missing: Vec<Uuid> = stored.try_get(0)?;
        anyhow::ensure!(missing.is_empty(), "{} of {count} jobs were not stored", missing.len());
        Ok(())
    }

    async fn reserve(&mut self, batch: usize, token: i64) -> Result<Vec<Taken>> {
        let rows = sqlx::query(AssertSqlSafe(Arc::clone(&self.sql.reserve)))
            .bind(&self.queue)
            .bind(batch as i64)
            .bind(LEASE)
            .bind(token)
            .bind(Vec::<i64>::new())
            .fetch_all(&mut self.connection)
            .await?;
        let taken = |row: &PgRow| -> Result<Taken> {
            let mut bytes: Vec<u8> = row.try_get("payload")?;
            bytes[8] = u8::try_from(row.try_get::<i32, _>("attempts")?)?;
            Ok(Taken { id: row.try_get("id")?, bytes })
        };
        rows.iter().map(taken).collect()
    }

    async fn finish(&mut self, mut ids: Vec<Uuid>, token: i64) -> Result<()> {
        let count = ids.len();
        ids.sort_unstable();
        let ended = sqlx::query(AssertSqlSafe(Arc::clone(&self.sql.finish)))
            .bind(&self.queue)
            .bind(ids)
            .bind(vec![token; count])
            .fetch_one(&mut self.connection)
            .await?;
        let over: Vec<i32> = ended.try_get(0)?;
        anyhow::ensure!(over.is_empty(), "{} of {count} jobs were not ended", over.len());
        Ok(())
    }

    async fn put_back(&mut self, mut ids: Vec<Uuid>, token: i64) -> Result<()> {
        let count = ids.len();
        ids.sort_unstable();
        let error: &[u8] = b"fails once";
        sqlx::query(AssertSqlSafe(Arc::clone(&self.sql.put_back)))
            .bind(&self.queue)
            .bind(ids)
            .bind(vec![token; count])
            .bind(vec![0_i64; count])
            .bind(vec![Some(error); count])
            .bind(None::<&str>)
            .fetch_all(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn push(&mut self, numbers: Range<u64>, batch: usize) -> Result<()> {
        for from in numbers.clone().step_by(batch) {
            let payloads: Vec<_> = (from..numbers.end.min(from + batch as u64)).map(raw_job).collect();
            self.insert(&payloads, None).await?;
        }
        Ok(())
    }

    async fn work(&mut self, batch: usize, kind: Kind) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for token in 1.. {
            let taken = self.reserve(batch, token).await?;
            if taken.is_empty() {
                break;
            }
            let (mut done, mut failed) = (Vec::with_capacity(batch), Vec::new());
            for Taken { id, mut bytes } in taken {
                match raw_run(&mut bytes, kind).await {
                    true => {
                        numbers.push(raw_number(&bytes));
                        done.push(id);
                    }
                    false => failed.push(id),
                }
            }
            if !failed.is_empty() {
                self.put_back(failed, token).await?;
            }
            if !done.is_empty() {
                self.finish(done, token).await?;
            }
        }
        Ok(numbers)
    }
}

#[async_trait]
impl RawLoop for PostgresLoop {
    async fn push(&self, numbers: Range<u64>, shape: Shape) -> Result<()> {
        let each = (numbers.end - numbers.start).div_ceil(shape.tasks as u64).max(1);
        let mut tasks = JoinSet::new();
        for from in numbers.clone().step_by(each as usize) {
            let part = from..numbers.end.min(from + each);
            let mut session = self.borrow().await?;
            tasks.spawn(async move { session.push(part, shape.batch).await.map(|()| session) });
        }
        for session in tasks.join_all().await {
            self.give_back(session?).await;
        }
        Ok(())
    }

    async fn push_one(&self, payload: Vec<u8>) -> Result<()> {
        let mut session = self.borrow().await?;
        session.insert(&[payload], Some(&self.channel())).await?;
        self.give_back(session).await;
        Ok(())
    }

    async fn work(&self, shape: Shape, kind: Kind) -> Result<Vec<u64>> {
        let mut tasks = JoinSet::new();
        for _ in 0..shape.tasks {
            let mut session = self.borrow().await?;
            tasks.spawn(
                async move { session.work(shape.batch, kind).await.map(|numbers| (numbers, session)) },
            );
        }
        let mut numbers = Vec::new();
        for worked in tasks.join_all().await {
            let (some, session) = worked?;
            numbers.extend(some);
            self.give_back(session).await;
        }
        Ok(numbers)
    }

    async fn take(&self, jobs: usize) -> Result<Vec<u64>> {
        let mut session = self.borrow().await?;
        let (mut numbers, mut by_token) = (Vec::with_capacity(jobs), HashMap::new());
        for token in 1..=jobs as i64 {
            for Taken { id, bytes } in session.reserve(1, token).await? {
                numbers.push(raw_number(&bytes));
                by_token.insert(token, id);
            }
        }
        for (token, id) in by_token {
            session.finish(vec![id], token).await?;
        }
        self.give_back(session).await;
        Ok(numbers)
    }

    async fn next(&self) -> Result<Vec<u8>> {
        let mut listener = self.listener.lock().await;
        // The server takes a channel once, however often it is asked to listen.
        listener.listen(&self.channel()).await?;
        let mut session = self.borrow().await?;
        loop {
            if let Some(Taken { id, bytes }) = session.reserve(1, 1).await?.pop() {
                session.finish(vec![id], 1).await?;
                self.give_back(session).await;
                return Ok(bytes);
            }
            listener.recv().await.context("the connection that listens is lost")?;
        }
    }

    async fn left(&self) -> Result<u64> {
        let mut session = self.borrow().await?;
        let count = format!("SELECT count(*) FROM \"{PREFIX}jobs\" WHERE queue = $1");
        let query = sqlx::query(AssertSqlSafe(count)).bind(&self.queue);
        let count: i64 = query.fetch_one(&mut session.connection).await?.try_get(0)?;
        self.give_back(session).await;
        Ok(count.unsigned_abs())
    }
}
