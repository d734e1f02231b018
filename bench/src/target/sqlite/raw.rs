//! The statements of the driver, sent by hand.

use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use stream_core::{JobId, QueueName, async_trait};
use tokio::{sync::Mutex, task::JoinSet, time::sleep};

use crate::{
    job::{Kind, raw_job, raw_number, raw_run},
    target::{RawLoop, Shape},
};

/// What a lease lasts, in microseconds: nothing comes back during a round.
const LEASE: i64 = 3_600_000_000;
/// How often an idle worker looks.
const LOOK: Duration = Duration::from_millis(20);

/// Statements on one connection, which tasks share: a file has one writer.
pub(super) struct SqliteLoop {
    session: Arc<Mutex<Session>>,
}

/// The connection in use.
struct Session {
    connection: SqliteConnection,
    queue: String,
    sql: Sql,
    is_synced: bool,
    token: i64,
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
    id: Vec<u8>,
    bytes: Vec<u8>,
    attempts: u8,
}

impl Sql {
    fn new() -> Self {
        macro_rules! statement {
            ($name:literal) => {
                rendered(include_str!(concat!(
                    "../../../../crates/stream-database/src/sqlite/sql/",
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
    let kept: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let sql = kept.join("\n").replace("{jobs}", "\"jobs\"").replace("{dead}", "\"jobs_dead\"");
    sql.replace("{name}", "jobs").into()
}

/// A list in JSON.
fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_micros() as i64
}

impl SqliteLoop {
    pub(super) async fn open(url: &str, queue: &QueueName) -> Result<Self> {
        let options: SqliteConnectOptions = url.parse()?;
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let connection = options.row_buffer_size(1_024).disable_statement_logging().connect().await?;
        let queue = queue.as_str().to_owned();
        let session = Session { connection, queue, sql: Sql::new(), is_synced: true, token: 0 };
        Ok(Self { session: Arc::new(Mutex::new(session)) })
    }
}

impl Session {
    /// Whether the next commit waits for the disk.
    async fn sync(&mut self, is_synced: bool) -> Result<()> {
        if self.is_synced != is_synced {
            let pragma = if is_synced { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            sqlx::raw_sql(pragma).execute(&mut self.connection).await?;
            self.is_synced = is_synced;
        }
        Ok(())
    }

    async fn insert(&mut self, payloads: &[Vec<u8>]) -> Result<()> {
        self.sync(true).await?;
        let ids: Vec<u8> = payloads.iter().flat_map(|_| *JobId::new().as_bytes()).collect();
        let mut begins = 1;
        let rows = list(payloads.iter().map(|payload| {
            let row = format!("[2,0,{begins},{},null]", payload.len());
            begins += payload.len();
            row
        }));
        let stored = sqlx::query(AssertSqlSafe(Arc::clone(&self.sql.insert)))
            .bind(&self.queue)
            .bind(ids)
            .bind(payloads.concat())
            .bind(rows)
            .bind(now())
            .fetch_all(&mut self.connection)
            .await?;
        ensure!(stored.len() == payloads.len(), "{} of {} were stored", stored.len(), payloads.len());
        Ok(())
    }

    /// Jobs, and the token by which they were taken.
    async fn reserve(&mut self, batch: usize) -> Result<(Vec<Taken>, i64)> {
        self.sync(false).await?;
        self.token += 1;
        let rows = sqlx::query(AssertSqlSafe(Arc::clone(&self.sql.reserve)))
            .bind(&self.queue)
            .bind(batch as i64)
            .bind(LEASE)
            .bind(self.token)
            .bind(now())
            .fetch_all(&mut self.connection)
            .await?;
        let taken = |row: &SqliteRow| -> Result<Taken> {
            let attempts = row.try_get("attempts")?;
            Ok(Taken { id: row.try_get("id")?, bytes: row.try_get("payload")?, attempts })
        };
        Ok((rows.iter().map(taken).collect::<Result<_>>()?, self.token))
    }

    async fn finish(&mut self, ids: Vec<Vec<u8>>, token: i64) -> Result<()> {
        self.sync(true).await?;
        let ended = sqlx::query(AssertSqlSafe(Arc::clone(&self.sql.finish)))
            .bind(&self.queue)
            .bind(ids.concat())
            .bind(list(ids.iter().map(|_| token.to_string())))
            .fetch_all(&mut self.connection)
            .await?;
        ensure!(ended.len() == ids.len(), "{} of {} jobs were ended", ended.len(), ids.len());
        Ok(())
    }

    async fn put_back(&mut self, ids: Vec<Vec<u8>>, token: i64) -> Result<()> {
        self.sync(true).await?;
        // The error in hex.
        let rows = list(ids.iter().map(|_| format!("[{token},0,\"6661696c73206f6e6365\"]")));
        let query = sqlx::query(AssertSqlSafe(Arc::clone(&self.sql.put_back)));
        let query = query.bind(&self.queue).bind(ids.concat()).bind(rows).bind(now());
        query.fetch_all(&mut self.connection).await?;
        Ok(())
    }
}

async fn push(session: &Mutex<Session>, numbers: Range<u64>, batch: usize) -> Result<()> {
    for from in numbers.clone().step_by(batch) {
        let payloads: Vec<_> = (from..numbers.end.min(from + batch as u64)).map(raw_job).collect();
        session.lock().await.insert(&payloads).await?;
    }
    Ok(())
}

async fn work(session: &Mutex<Session>, batch: usize, kind: Kind) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    loop {
        let (taken, token) = session.lock().await.reserve(batch).await?;
        if taken.is_empty() {
            return Ok(numbers);
        }
        let (mut done, mut failed) = (Vec::with_capacity(batch), Vec::new());
        for Taken { id, mut bytes, attempts } in taken {
            bytes[8] = attempts;
            match raw_run(&mut bytes, kind).await {
                true => {
                    numbers.push(raw_number(&bytes));
                    done.push(id);
                }
                false => failed.push(id),
            }
        }
        if !failed.is_empty() {
            session.lock().await.put_back(failed, token).await?;
        }
        if !done.is_empty() {
            session.lock().await.finish(done, token).await?;
        }
    }
}

#[async_trait]
impl RawLoop for SqliteLoop {
    async fn push(&self, numbers: Range<u64>, shape: Shape) -> Result<()> {
        let each = (numbers.end - numbers.start).div_ceil(shape.tasks as u64).max(1);
        let mut tasks = JoinSet::new();
        for from in numbers.clone().step_by(each as usize) {
            let (session, part) = (Arc::clone(&self.session), from..numbers.end.min(from + each));
            tasks.spawn(async move { push(&session, part, shape.batch).await });
        }
        tasks.join_all().await.into_iter().collect()
    }

    async fn push_one(&self, payload: Vec<u8>) -> Result<()> {
        self.session.lock().await.insert(&[payload]).await
    }

    async fn work(&self, shape: Shape, kind: Kind) -> Result<Vec<u64>> {
        let mut tasks = JoinSet::new();
        for _ in 0..shape.tasks {
            let session = Arc::clone(&self.session);
            tasks.spawn(async move { work(&session, shape.batch, kind).await });
        }
        Ok(tasks.join_all().await.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    async fn take(&self, jobs: usize) -> Result<Vec<u64>> {
        let mut session = self.session.lock().await;
        let (mut numbers, mut by_token) = (Vec::with_capacity(jobs), HashMap::new());
        for _ in 0..jobs {
            let (taken, token) = session.reserve(1).await?;
            for Taken { id, bytes, .. } in taken {
                numbers.push(raw_number(&bytes));
                by_token.insert(token, id);
            }
        }
        for (token, id) in by_token {
            session.finish(vec![id], token).await?;
        }
        Ok(numbers)
    }

    async fn next(&self) -> Result<Vec<u8>> {
        loop {
            {
                let mut session = self.session.lock().await;
                let (mut taken, token) = session.reserve(1).await?;
                if let Some(Taken { id, bytes, .. }) = taken.pop() {
                    session.finish(vec![id], token).await?;
                    return Ok(bytes);
                }
            }
            sleep(LOOK).await;
        }
    }

    async fn left(&self) -> Result<u64> {
        let mut session = self.session.lock().await;
        let query = sqlx::query("SELECT count(*) FROM jobs WHERE queue = ?1").bind(session.queue.clone());
        let count: i64 = query.fetch_one(&mut session.connection).await?.try_get(0)?;
        Ok(count.unsigned_abs())
    }
}
