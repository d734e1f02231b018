//! The statements of the driver, sent by hand.

use std::{
    collections::HashMap,
    fmt::Write as _,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, Row as _, SqlSafeStr as _,
    mysql::MySqlRow,
};
use stream_core::{JobId, QueueName, async_trait};
use tokio::{sync::Mutex, task::JoinSet, time::sleep};

use super::PREFIX;
use crate::{
    job::{Kind, raw_job, raw_number, raw_run},
    target::{RawLoop, Shape},
};

/// What a lease lasts, in microseconds: nothing comes back during a round.
const LEASE: i64 = 3_600_000_000;
/// How often an idle worker looks: nothing tells it.
const POLL: Duration = Duration::from_millis(25);

/// Statements on connections of its own.
pub(super) struct MariaDbLoop {
    url: String,
    queue: String,
    sql: Arc<Sql>,
    /// As many as were ever needed at once; the first is opened before any time is taken.
    idle: Mutex<Vec<MySqlConnection>>,
}

/// The statements as the driver has them.
struct Sql {
    greeting: String,
    insert: Arc<str>,
    finish_one: Arc<str>,
    reserve: String,
    finish: String,
    put_back: String,
}

/// A job that was taken.
struct Taken {
    id: Vec<u8>,
    bytes: Vec<u8>,
}

impl Sql {
    fn new(queue: &str) -> Self {
        macro_rules! statement {
            ($name:literal) => {
                rendered(include_str!(concat!(
                    "../../../../crates/stream-database/src/mysql/sql/",
                    $name,
                    ".sql"
                )))
            };
        }
        let alone = |begin: &str, script: String| {
            format!("{begin};\n{};\nCOMMIT", script.replace(":queue", &format!("'{queue}'")))
        };
        let uncommitted = "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; START TRANSACTION";
        Self {
            greeting: statement!("greeting"),
            insert: statement!("insert").into(),
            finish_one: statement!("finish_one").into(),
            reserve: alone(uncommitted, statement!("reserve")),
            finish: alone("START TRANSACTION", statement!("finish")),
            put_back: alone("START TRANSACTION", statement!("put_back")),
        }
    }
}

fn rendered(sql: &str) -> String {
    let kept: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let table = |suffix: &str| format!("`{PREFIX}jobs{suffix}`");
    let sql = kept.join("\n").replace("{jobs}", &table("")).replace("{dead}", &table("_dead"));
    sql.replace("{name}", &format!("{PREFIX}jobs")).trim().to_owned()
}

impl MariaDbLoop {
    pub(super) async fn open(url: String, queue: &QueueName) -> Result<Self> {
        let queue = queue.as_str().to_owned();
        let open = Self { url, sql: Arc::new(Sql::new(&queue)), queue, idle: Mutex::default() };
        let first = open.borrow().await?;
        open.give_back(first).await;
        Ok(open)
    }

    async fn borrow(&self) -> Result<Session> {
        let idle = self.idle.lock().await.pop();
        let sql = Arc::clone(&self.sql);
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let mut connection = MySqlConnection::connect(&self.url).await?;
                connection.execute(AssertSqlSafe(sql.greeting.clone())).await?;
                for statement in [&sql.insert, &sql.finish_one] {
                    // As the driver, which has sent them before.
                    connection.prepare(AssertSqlSafe(Arc::clone(statement)).into_sql_str()).await?;
                }
                connection
            }
        };
        Ok(Session { connection, queue: self.queue.clone(), sql })
    }

    async fn give_back(&self, session: Session) {
        self.idle.lock().await.push(session.connection);
    }
}

/// A connection in use.
struct Session {
    connection: MySqlConnection,
    queue: String,
    sql: Arc<Sql>,
}

impl Session {
    async fn insert(&mut self, payloads: &[Vec<u8>]) -> Result<()> {
        let (mut list, mut start) = (String::from("["), 1);
        for payload in payloads {
            let comma = if list.len() > 1 { "," } else { "" };
            let id = hexadecimal(JobId::new().as_bytes());
            write!(list, "{comma}[\"{id}\",{start},{},2,0,null]", payload.len())?;
            start += payload.len();
        }
        list.push(']');
        let stored = sqlx::query(AssertSqlSafe(Arc::clone(&self.sql.insert)))
            .bind(&self.queue)
            .bind(payloads.concat())
            .bind(&list)
            .bind(&list)
            .bind(&self.queue)
            .execute(&mut self.connection)
            .await?;
        ensure!(stored.rows_affected() == payloads.len() as u64, "not all jobs were stored");
        Ok(())
    }

    /// What was taken, and the token.
    async fn reserve(&mut self, batch: usize) -> Result<(Vec<Taken>, i64)> {
        static TOKEN: AtomicI64 = AtomicI64::new(1);
        let token = TOKEN.fetch_add(1, Ordering::Relaxed);
        let sql = self.sql.reserve.replace(":lease", &LEASE.to_string());
        let sql = sql.replace(":enough", &(batch * 2 + 32).to_string()).replace(":most", &batch.to_string());
        let sql = sql.replace(":token", &token.to_string());
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await?;
        let taken = |row: &MySqlRow| -> Result<Taken> {
            let mut bytes: Vec<u8> = row.try_get("payload")?;
            bytes[8] = u8::try_from(row.try_get::<i32, _>("attempts")?)?;
            Ok(Taken { id: row.try_get("id")?, bytes })
        };
        Ok((rows.iter().map(taken).collect::<Result<_>>()?, token))
    }

    async fn finish(&mut self, ids: &[Vec<u8>], token: i64) -> Result<()> {
        let ended = match ids {
            [id] => {
                let query = sqlx::query(AssertSqlSafe(Arc::clone(&self.sql.finish_one)));
                let query = query.bind(id).bind(&self.queue).bind(token);
                query.execute(&mut self.connection).await?.rows_affected() as usize
            }
            _ => {
                let rows = ids.iter().map(|id| format!("[\"{}\",{token}]", hexadecimal(id)));
                let list = rows.collect::<Vec<_>>().join(",");
                let sql = self.sql.finish.replace(":ended", &format!("'[{list}]'"));
                sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await?.len()
            }
        };
        ensure!(ended == ids.len(), "{ended} of {} jobs were ended", ids.len());
        Ok(())
    }

    async fn put_back(&mut self, ids: &[Vec<u8>], token: i64) -> Result<()> {
        let error: &[u8] = b"fails once";
        let row = |(nth, id): (usize, &Vec<u8>)| {
            let start = nth * error.len() + 1;
            format!("[\"{}\",{token},0,{start},{}]", hexadecimal(id), error.len())
        };
        let list = ids.iter().enumerate().map(row).collect::<Vec<_>>().join(",");
        let errors = hexadecimal(&error.repeat(ids.len()));
        let sql = self.sql.put_back.replace(":ended", &format!("'[{list}]'"));
        let sql = sql.replace(":errors", &format!("x'{errors}'"));
        sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await?;
        Ok(())
    }

    async fn push(&mut self, numbers: Range<u64>, batch: usize) -> Result<()> {
        for from in numbers.clone().step_by(batch) {
            let payloads: Vec<_> = (from..numbers.end.min(from + batch as u64)).map(raw_job).collect();
            self.insert(&payloads).await?;
        }
        Ok(())
    }

    async fn work(&mut self, batch: usize, kind: Kind) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        loop {
            let (taken, token) = self.reserve(batch).await?;
            if taken.is_empty() {
                return Ok(numbers);
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
                self.put_back(&failed, token).await?;
            }
            if !done.is_empty() {
                self.finish(&done, token).await?;
            }
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all");
    }
    text
}

#[async_trait]
impl RawLoop for MariaDbLoop {
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
        session.insert(&[payload]).await?;
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
        for _ in 0..jobs {
            let (taken, token) = session.reserve(1).await?;
            for Taken { id, bytes } in taken {
                numbers.push(raw_number(&bytes));
                by_token.insert(token, id);
            }
        }
        for (token, id) in by_token {
            session.finish(&[id], token).await?;
        }
        self.give_back(session).await;
        Ok(numbers)
    }

    async fn next(&self) -> Result<Vec<u8>> {
        let mut session = self.borrow().await?;
        loop {
            let (mut taken, token) = session.reserve(1).await?;
            if let Some(Taken { id, bytes }) = taken.pop() {
                session.finish(&[id], token).await?;
                self.give_back(session).await;
                return Ok(bytes);
            }
            sleep(POLL).await;
        }
    }

    async fn left(&self) -> Result<u64> {
        let mut session = self.borrow().await?;
        let count = format!("SELECT COUNT(*) FROM `{PREFIX}jobs` WHERE queue = ?");
        let query = sqlx::query(AssertSqlSafe(count)).bind(&self.queue);
        let count: i64 = query.fetch_one(&mut session.connection).await?.try_get(0)?;
        self.give_back(session).await;
        Ok(count.unsigned_abs())
    }
}
