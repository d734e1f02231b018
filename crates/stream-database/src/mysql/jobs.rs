//! The table of jobs: each function is one round trip on whichever connection it is given.

use std::time::Duration;

use sqlx::{MySqlConnection, Row as _, mysql::MySqlRow};
use stream_core::{Depth, JobId};

use super::{
    faults::running,
    list::List,
    script::{Filled, Literal},
    statements::Statements,
};
use crate::{
    dialect::micros,
    fault::{Failure, Fault, Outcome},
    row::{Fenced, Key, Next, PutBack, Row, Take},
};

/// Rows of one step of `clear`, whose ids are one value of the server.
const CLEARED: u64 = 2_000;

/// What takes rows: to be sent alone, or inside a transaction.
pub(super) fn reserve(sql: &Statements, queue: &str, take: Take) -> Filled {
    sql.reserve.filled(&[
        ("queue", Literal::Name(queue)),
        ("most", Literal::Number(count(take.max_jobs))),
        ("enough", Literal::Number(count(enough(take.max_jobs)))),
        ("lease", Literal::Number(micros(take.lease))),
        ("token", Literal::Number(take.token)),
    ])
}

pub(super) fn taken(rows: &[MySqlRow]) -> Outcome<Vec<Row>> {
    let row = |row: &MySqlRow| {
        Ok(Row {
            id: job_id(row.try_get("id").map_err(running)?)?,
            payload: row.try_get("payload").map_err(running)?,
            attempts: row.try_get::<i32, _>("attempts").map_err(running)?.unsigned_abs(),
            lost: row.try_get::<i32, _>("lost").map_err(running)?.unsigned_abs(),
            last_error: row.try_get("last_error").map_err(running)?,
        })
    };
    rows.iter().map(row).collect()
}

pub(super) async fn probe(
    connection: &mut MySqlConnection,
    sql: &Statements,
    queues: &[&str],
) -> Outcome<Vec<Next>> {
    let list = List::names(queues);
    let rows = sql.probe.query().bind(list.as_str()).fetch_all(connection).await.map_err(running)?;
    rows.iter().map(|row| Ok(Next::from_micros(row.try_get(0).map_err(running)?))).collect()
}

pub(super) async fn finish(
    connection: &mut MySqlConnection,
    begin: &'static str,
    sql: &Statements,
    queue: &str,
    keys: &[Key],
) -> Outcome<Vec<Fenced>> {
    if let [key] = keys {
        return finish_one(connection, sql, queue, *key).await.map(|fenced| vec![fenced]);
    }
    let list = List::keys(keys);
    let script = sql.finish.filled(&[("queue", Literal::Name(queue)), ("ended", Literal::Rows(&list))]);
    applied(keys.len(), &script.alone(connection, begin).await?)
}

async fn finish_one(
    connection: &mut MySqlConnection,
    sql: &Statements,
    queue: &str,
    key: Key,
) -> Outcome<Fenced> {
    let query = sql.finish_one.query().bind(&key.id.as_bytes()[..]).bind(queue).bind(key.token);
    let done = query.execute(connection).await.map_err(running)?;
    Ok(if done.rows_affected() == 1 { Fenced::Applied } else { Fenced::Over })
}

pub(super) async fn put_back(
    connection: &mut MySqlConnection,
    begin: &'static str,
    sql: &Statements,
    queue: &str,
    rows: &[PutBack<'_>],
) -> Outcome<Vec<Fenced>> {
    let (list, errors) = List::to_put_back(rows);
    let script = sql.put_back.filled(&[
        ("queue", Literal::Name(queue)),
        ("ended", Literal::Rows(&list)),
        ("errors", Literal::Bytes(&errors)),
    ]);
    applied(rows.len(), &script.alone(connection, begin).await?)
}

pub(super) async fn extend(
    connection: &mut MySqlConnection,
    begin: &'static str,
    sql: &Statements,
    queue: &str,
    keys: &[Key],
    lease: Duration,
) -> Outcome<Vec<Fenced>> {
    let list = List::keys(keys);
    let script = sql.extend.filled(&[
        ("queue", Literal::Name(queue)),
        ("kept", Literal::Rows(&list)),
        ("lease", Literal::Number(micros(lease))),
        ("most", Literal::Number(count(keys.len()))),
    ]);
    let answer = |row: &MySqlRow| {
        Ok(match row.try_get::<i64, _>(0).map_err(running)? {
            0 => Fenced::Over,
            1 => Fenced::Locked,
            _ => Fenced::Applied,
        })
    };
    script.alone(connection, begin).await?.iter().map(answer).collect()
}

pub(super) async fn depth(connection: &mut MySqlConnection, sql: &Statements, queue: &str) -> Outcome<Depth> {
    let query = sql.depth.query().bind(queue).bind(queue);
    let row = query.fetch_one(connection).await.map_err(running)?;
    let count = |name| -> Outcome<u64> { Ok(row.try_get::<i64, _>(name).map_err(running)?.unsigned_abs()) };
    let mut depth = Depth::new(count("ready")?, count("is_delayed")?, count("reserved")?);
    depth.dead = Some(count("dead")?);
    Ok(depth)
}

pub(super) async fn clear(
    connection: &mut MySqlConnection,
    begin: &'static str,
    sql: &Statements,
    queue: &str,
    max: usize,
) -> Outcome<u64> {
    let (mut gone, max) = (0, max as u64);
    while gone < max {
        let most = CLEARED.min(max - gone);
        let slots = [("queue", Literal::Name(queue)), ("most", Literal::Number(most.cast_signed()))];
        let rows = sql.clear.filled(&slots).alone(connection, begin).await?;
        let number = |name| -> Outcome<u64> {
            let row = rows.last().ok_or_else(|| running(sqlx::Error::RowNotFound))?;
            Ok(row.try_get::<i64, _>(name).map_err(running)?.unsigned_abs())
        };
        gone += number("gone")?;
        // Of those that were passed over the next look would see nothing but them.
        if number("seen")? < most || number("gone")? == 0 {
            break;
        }
    }
    Ok(gone)
}

/// An answer for each of `count` items, from the places of those that were changed.
pub(super) fn applied(count: usize, places: &[MySqlRow]) -> Outcome<Vec<Fenced>> {
    let places: Outcome<Vec<i64>> = places.iter().map(|row| row.try_get(0).map_err(running)).collect();
    Ok(Fenced::applied(count, places?))
}

pub(super) fn job_id(bytes: Vec<u8>) -> Outcome<JobId> {
    let bytes: Result<[u8; 16], _> = bytes.try_into();
    bytes.map(JobId::from_bytes).map_err(|_| Failure::new(Fault::Unexpected, "an id has not 16 bytes"))
}

/// How many rows are looked at so that there are `max` among them which nobody holds.
fn enough(max: usize) -> usize {
    max.saturating_mul(2).saturating_add(32)
}

pub(super) fn count(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}
