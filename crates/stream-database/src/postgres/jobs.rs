//! The table of jobs: each function is one statement on whichever connection it is given.

use std::{collections::HashSet, time::Duration};

use sqlx::{PgConnection, Row as _, postgres::PgRow, types::Uuid};
use stream_core::{Depth, JobId, Pushed};

use super::{faults::running, marks::Levels, statements::Statements, turns::turns};
use crate::{
    dialect::{found, micros},
    fault::Outcome,
    row::{Fenced, Key, NewRow, Next, PutBack, Row, Take},
};

pub(super) async fn insert(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    rows: &[NewRow<'_>],
    channel: Option<&str>,
) -> Outcome<Vec<bool>> {
    let query = sql
        .insert
        .query()
        .bind(queue)
        .bind(rows.iter().map(|row| uuid(row.id)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.payload).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| i16::from(row.priority)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| micros(row.delay)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.unique_key).collect::<Vec<_>>())
        .bind(channel);
    let row = query.fetch_one(connection).await.map_err(running)?;
    let known: Vec<Uuid> = row.try_get(0).map_err(running)?;
    if known.is_empty() {
        return Ok(vec![true; rows.len()]);
    }
    let known: HashSet<Uuid> = known.into_iter().collect();
    Ok(rows.iter().map(|row| !known.contains(&uuid(row.id))).collect())
}

pub(super) async fn find(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    rows: &[NewRow<'_>],
) -> Outcome<Vec<Option<Pushed>>> {
    let query = sql
        .find
        .query()
        .bind(queue)
        .bind(rows.iter().map(|row| uuid(row.id)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.unique_key).collect::<Vec<_>>());
    let answers = query.fetch_all(connection).await.map_err(running)?;
    let answer = |(row, answer): (&NewRow<'_>, &PgRow)| {
        let holder: Option<Uuid> = answer.try_get("holder").map_err(running)?;
        Ok(found(row.id, answer.try_get("is_held").map_err(running)?, holder.map(job_id)))
    };
    rows.iter().zip(&answers).map(answer).collect()
}

pub(super) async fn reserve(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    take: Take,
    from: Option<Levels>,
) -> Outcome<Vec<Taken>> {
    let query = sql.reserve.query().bind(queue).bind(count(take.max_jobs)).bind(micros(take.lease));
    let query = query.bind(take.token).bind(from.unwrap_or_default().to_vec());
    let rows = query.fetch_all(connection).await.map_err(running)?;
    rows.iter().map(|row| taken(row).map_err(running)).collect()
}

/// A row that was taken, with its place in the order.
pub(super) struct Taken {
    priority: i16,
    due: i64,
    place: i16,
    row: Row,
}

/// Brings rows into their order, which what an update returns has not.
pub(super) fn ordered(mut taken: Vec<Taken>) -> Vec<Row> {
    taken.sort_by_key(|one| (one.priority, one.due, one.place));
    taken.into_iter().map(|one| one.row).collect()
}

/// Up to where each priority was taken. Those before the last were passed as a whole: what comes to them from
/// now on is due later than all that was taken.
pub(super) fn latest(taken: &[Taken]) -> Levels {
    let level = |one: &Taken| usize::try_from(one.priority).unwrap_or_default();
    let last = taken.iter().map(level).max().unwrap_or_default();
    let due = |from: usize| taken.iter().filter(move |one| level(one) >= from).map(|one| one.due).max();
    let mut levels = Levels::default();
    for (at, mark) in levels.iter_mut().enumerate().take(last + 1) {
        *mark = due(if at < last { 0 } else { last });
    }
    levels
}

fn taken(row: &PgRow) -> sqlx::Result<Taken> {
    Ok(Taken {
        priority: row.try_get("priority")?,
        due: row.try_get("due")?,
        place: row.try_get("place")?,
        row: taken_row(row)?,
    })
}

fn taken_row(row: &PgRow) -> sqlx::Result<Row> {
    Ok(Row {
        id: job_id(row.try_get("id")?),
        payload: row.try_get("payload")?,
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        lost: row.try_get::<i32, _>("lost")?.unsigned_abs(),
        last_error: row.try_get("last_error")?,
    })
}

pub(super) async fn probe(
    connection: &mut PgConnection,
    sql: &Statements,
    queues: &[&str],
) -> Outcome<Vec<Next>> {
    let rows = sql.probe.query().bind(queues).fetch_all(connection).await.map_err(running)?;
    Ok(columns(&rows)?.map(Next::from_micros).collect())
}

pub(super) async fn finish(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    keys: &[Key],
) -> Outcome<Vec<Fenced>> {
    let mut answers = vec![Fenced::Applied; keys.len()];
    for turn in turns(keys) {
        let query = sql.finish.query().bind(queue).bind(turn.ids(keys)).bind(turn.tokens(keys));
        turn.note(&mut answers, &query.fetch_one(&mut *connection).await.map_err(running)?)?;
    }
    Ok(answers)
}

pub(super) async fn put_back(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    rows: &[PutBack<'_>],
    channel: Option<&str>,
) -> Outcome<Vec<Fenced>> {
    let keys: Vec<Key> = rows.iter().map(|row| row.key).collect();
    let mut answers = vec![Fenced::Applied; rows.len()];
    for turn in turns(&keys) {
        let query = sql
            .put_back
            .query()
            .bind(queue)
            .bind(turn.ids(&keys))
            .bind(turn.tokens(&keys))
            .bind(turn.each(rows, |row| micros(row.after)))
            .bind(turn.each(rows, |row| row.error))
            .bind(channel);
        turn.note(&mut answers, &query.fetch_one(&mut *connection).await.map_err(running)?)?;
    }
    Ok(answers)
}

pub(super) async fn extend(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    keys: &[Key],
    lease: Duration,
) -> Outcome<Vec<Fenced>> {
    let mut answers = vec![Fenced::Applied; keys.len()];
    for turn in turns(keys) {
        let query = sql.extend.query().bind(queue).bind(turn.ids(keys)).bind(turn.tokens(keys));
        for row in query.bind(micros(lease)).fetch_all(&mut *connection).await.map_err(running)? {
            let is_current: bool = row.try_get("is_current").map_err(running)?;
            let fenced = if is_current { Fenced::Locked } else { Fenced::Over };
            turn.set(&mut answers, row.try_get("place").map_err(running)?, fenced);
        }
    }
    Ok(answers)
}

pub(super) async fn depth(connection: &mut PgConnection, sql: &Statements, queue: &str) -> Outcome<Depth> {
    let row = sql.depth.query().bind(queue).fetch_one(connection).await.map_err(running)?;
    let count = |name| -> Outcome<u64> { Ok(row.try_get::<i64, _>(name).map_err(running)?.unsigned_abs()) };
    let mut depth = Depth::new(count("ready")?, count("delayed")?, count("reserved")?);
    depth.dead = Some(count("dead")?);
    Ok(depth)
}

pub(super) async fn clear(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    max: usize,
) -> Outcome<u64> {
    let query = sql.clear.query().bind(queue).bind(count(max));
    let row = query.fetch_one(connection).await.map_err(running)?;
    Ok(row.try_get::<i64, _>(0).map_err(running)?.unsigned_abs())
}

/// The first column of all rows.
pub(super) fn columns<'r, T>(rows: &'r [PgRow]) -> Outcome<impl Iterator<Item = T> + use<'r, T>>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let values: sqlx::Result<Vec<T>> = rows.iter().map(|row| row.try_get(0)).collect();
    Ok(values.map_err(running)?.into_iter())
}

pub(super) fn uuid(id: JobId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

pub(super) fn job_id(id: Uuid) -> JobId {
    JobId::from_bytes(id.into_bytes())
}

pub(super) fn count(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}
