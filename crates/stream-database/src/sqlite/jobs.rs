//! The table of jobs: each change is one statement, and so is each look.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use stream_core::{Depth, JobId, Pushed};

use super::{
    change::{Change, Durability, Session},
    faults::running,
    pack,
    statements::{Statement, Statements},
};
use crate::{
    dialect::{found, micros},
    fault::Outcome,
    row::{Fenced, Key, NewRow, Next, PutBack, Row, Take},
};

/// Rows to be stored.
pub(super) struct Insert {
    queue: String,
    ids: Vec<JobId>,
    payloads: Vec<u8>,
    rows: String,
}

impl Insert {
    pub(super) fn new(queue: &str, rows: &[NewRow<'_>]) -> Self {
        let mut payloads = Vec::with_capacity(rows.iter().map(|row| row.payload.len()).sum());
        let mut begins = Vec::with_capacity(rows.len());
        for row in rows {
            // SQLite counts bytes from 1.
            begins.push(payloads.len() + 1);
            payloads.extend_from_slice(row.payload);
        }
        let rows_in_json = pack::list(rows.iter().zip(begins), |json, (row, begins)| {
            json.push('[');
            let numbers =
                [i64::from(row.priority), micros(row.delay), count(begins), count(row.payload.len())];
            for number in numbers {
                pack::number(json, number);
                json.push(',');
            }
            pack::bytes(json, row.unique_key);
            json.push(']');
        });
        let ids = rows.iter().map(|row| row.id).collect();
        Self { queue: queue.to_owned(), ids, payloads, rows: rows_in_json }
    }
}

#[async_trait]
impl Change for Insert {
    type Answer = Vec<bool>;

    async fn make(&self, session: &mut Session<'_>) -> Outcome<Vec<bool>> {
        let query = session
            .query(&session.sql.insert)
            .bind(&self.queue)
            .bind(pack::ids(self.ids.iter().copied()))
            .bind(&self.payloads)
            .bind(&self.rows)
            .bind(session.now);
        let stored = query.fetch_all(&mut *session.connection).await.map_err(running)?;
        if stored.len() == self.ids.len() {
            return Ok(vec![true; stored.len()]);
        }
        let stored: HashSet<JobId> = pack::job_ids(&stored)?.into_iter().collect();
        Ok(self.ids.iter().map(|id| stored.contains(id)).collect())
    }
}

pub(super) async fn find(
    connection: &mut SqliteConnection,
    sql: &Statements,
    queue: &str,
    rows: &[NewRow<'_>],
) -> Outcome<Vec<Option<Pushed>>> {
    let query = sql
        .find
        .query()
        .bind(queue)
        .bind(pack::ids(rows.iter().map(|row| row.id)))
        .bind(pack::list(rows, |json, row| pack::bytes(json, row.unique_key)));
    let answers = query.fetch_all(connection).await.map_err(running)?;
    let answer = |(row, answer): (&NewRow<'_>, &SqliteRow)| {
        let holder: Option<&[u8]> = answer.try_get("holder").map_err(running)?;
        let is_held: bool = answer.try_get("is_held").map_err(running)?;
        Ok(found(row.id, is_held, holder.map(pack::job_id).transpose()?))
    };
    rows.iter().zip(&answers).map(answer).collect()
}

/// Rows to be taken.
pub(super) struct Reserve {
    pub(super) queue: String,
    pub(super) take: Take,
}

#[async_trait]
impl Change for Reserve {
    type Answer = Vec<Row>;

    fn durability(&self) -> Durability {
        Durability::Written
    }

    async fn make(&self, session: &mut Session<'_>) -> Outcome<Vec<Row>> {
        let query = session
            .query(&session.sql.reserve)
            .bind(&self.queue)
            .bind(count(self.take.max_jobs))
            .bind(micros(self.take.lease))
            .bind(self.take.token)
            .bind(session.now);
        let mut taken = query.fetch_all(&mut *session.connection).await.map_err(running)?;
        // What an update returns has no order.
        let order = |row: &SqliteRow| -> sqlx::Result<(i64, i64, i64)> {
            Ok((row.try_get("priority")?, row.try_get("due_at")?, row.try_get("place")?))
        };
        taken.sort_by_cached_key(|row| order(row).unwrap_or_default());
        taken.iter().map(taken_row).collect()
    }
}

fn taken_row(row: &SqliteRow) -> Outcome<Row> {
    Ok(Row {
        id: pack::job_id(row.try_get("id").map_err(running)?)?,
        payload: row.try_get("payload").map_err(running)?,
        attempts: row.try_get("attempts").map_err(running)?,
        lost: row.try_get("lost").map_err(running)?,
        last_error: row.try_get("last_error").map_err(running)?,
    })
}

pub(super) async fn probe(
    connection: &mut SqliteConnection,
    sql: &Statements,
    queues: &[&str],
    now: i64,
) -> Outcome<Vec<Next>> {
    let queues = pack::list(queues, |json, queue| pack::name(json, queue));
    let rows = sql.probe.query().bind(queues).bind(now).fetch_all(connection).await.map_err(running)?;
    rows.iter().map(|row| Ok(Next::from_micros(row.try_get(0).map_err(running)?))).collect()
}

/// Deliveries that a statement changes by their keys.
pub(super) struct Keyed {
    pub(super) queue: String,
    pub(super) keys: Vec<Key>,
}

impl Keyed {
    pub(super) fn new(queue: &str, keys: impl IntoIterator<Item = Key>) -> Self {
        Self { queue: queue.to_owned(), keys: keys.into_iter().collect() }
    }

    pub(super) fn ids(&self) -> Vec<u8> {
        pack::ids(self.keys.iter().map(|key| key.id))
    }

    fn tokens(&self) -> String {
        pack::list(&self.keys, |json, key| pack::number(json, key.token))
    }

    /// For each key whether its delivery was current, from the ids that a statement returned.
    pub(super) fn fenced(&self, changed: &[SqliteRow]) -> Outcome<Vec<Fenced>> {
        if changed.len() == self.keys.len() {
            return Ok(vec![Fenced::Applied; changed.len()]);
        }
        let mut changed: HashSet<JobId> = pack::job_ids(changed)?.into_iter().collect();
        Ok(self.keys.iter().map(|key| fenced(changed.remove(&key.id))).collect())
    }
}

fn fenced(is_changed: bool) -> Fenced {
    if is_changed { Fenced::Applied } else { Fenced::Over }
}

/// Deliveries that are done.
pub(super) struct Finish(pub(super) Keyed);

impl Finish {
    /// Deletes the rows; also the last part of a burial.
    pub(super) async fn delete(keyed: &Keyed, session: &mut Session<'_>) -> Outcome<Vec<Fenced>> {
        let query =
            session.query(&session.sql.finish).bind(&keyed.queue).bind(keyed.ids()).bind(keyed.tokens());
        let gone = query.fetch_all(&mut *session.connection).await.map_err(running)?;
        keyed.fenced(&gone)
    }
}

#[async_trait]
impl Change for Finish {
    type Answer = Vec<Fenced>;

    async fn make(&self, session: &mut Session<'_>) -> Outcome<Vec<Fenced>> {
        Self::delete(&self.0, session).await
    }
}

/// Deliveries whose jobs wait again.
pub(super) struct Wait {
    keyed: Keyed,
    rows: String,
}

impl Wait {
    pub(super) fn new(queue: &str, rows: &[PutBack<'_>]) -> Self {
        let rows_in_json = pack::list(rows, |json, row| {
            json.push('[');
            pack::number(json, row.key.token);
            json.push(',');
            pack::number(json, micros(row.after));
            json.push(',');
            pack::bytes(json, row.error);
            json.push(']');
        });
        Self { keyed: Keyed::new(queue, rows.iter().map(|row| row.key)), rows: rows_in_json }
    }
}

#[async_trait]
impl Change for Wait {
    type Answer = Vec<Fenced>;

    async fn make(&self, session: &mut Session<'_>) -> Outcome<Vec<Fenced>> {
        let query = session.query(&session.sql.put_back).bind(&self.keyed.queue).bind(self.keyed.ids());
        let query = query.bind(&self.rows).bind(session.now);
        let changed = query.fetch_all(&mut *session.connection).await.map_err(running)?;
        self.keyed.fenced(&changed)
    }
}

/// Leases that are to end later.
pub(super) struct Extend {
    pub(super) keyed: Keyed,
    pub(super) lease: Duration,
}

#[async_trait]
impl Change for Extend {
    type Answer = Vec<Fenced>;

    fn durability(&self) -> Durability {
        Durability::Written
    }

    async fn make(&self, session: &mut Session<'_>) -> Outcome<Vec<Fenced>> {
        let keyed = &self.keyed;
        let query =
            session.query(&session.sql.extend).bind(&keyed.queue).bind(keyed.ids()).bind(keyed.tokens());
        let query = query.bind(micros(self.lease)).bind(session.now);
        let changed = query.fetch_all(&mut *session.connection).await.map_err(running)?;
        keyed.fenced(&changed)
    }
}

/// Waiting rows that are removed.
pub(super) struct Clear {
    pub(super) queue: String,
    pub(super) max: usize,
}

#[async_trait]
impl Change for Clear {
    type Answer = u64;

    async fn make(&self, session: &mut Session<'_>) -> Outcome<u64> {
        let query =
            session.query(&session.sql.clear).bind(&self.queue).bind(count(self.max)).bind(session.now);
        Ok(query.execute(&mut *session.connection).await.map_err(running)?.rows_affected())
    }
}

pub(super) async fn depth(
    connection: &mut SqliteConnection,
    sql: &Statements,
    queue: &str,
    now: i64,
) -> Outcome<Depth> {
    let row = sql.depth.query().bind(queue).bind(now).fetch_one(connection).await.map_err(running)?;
    let count = |name| -> Outcome<u64> { Ok(row.try_get::<i64, _>(name).map_err(running)?.unsigned_abs()) };
    let reserved = count("reserved")?;
    let mut depth = Depth::new(count("ready")?, count("later")? - reserved, reserved);
    depth.dead = Some(count("dead")?);
    Ok(depth)
}

/// One number that is always there.
pub(super) async fn one_count(
    connection: &mut SqliteConnection,
    statement: &Statement,
    queue: &str,
) -> Outcome<u64> {
    let row = statement.query().bind(queue).fetch_one(connection).await.map_err(running)?;
    Ok(row.try_get::<i64, _>(0).map_err(running)?.unsigned_abs())
}

pub(super) fn count(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}
