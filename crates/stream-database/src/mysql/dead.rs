//! The table of dead letters.

use sqlx::{MySqlConnection, Row as _, mysql::MySqlRow};

use super::{
    faults::running,
    jobs::{applied, count as most, job_id},
    list::List,
    script::{Filled, Literal, Script},
    statements::Statements,
};
use crate::{
    fault::Outcome,
    row::{Burial, Burials, Fenced, Letter, Moved},
};

pub(super) async fn bury(
    connection: &mut MySqlConnection,
    begin: &'static str,
    sql: &Statements,
    queue: &str,
    burials: &[Burial<'_>],
) -> Outcome<Vec<Fenced>> {
    let (list, errors) = List::to_bury(burials);
    let script = sql.bury.filled(&[
        ("queue", Literal::Name(queue)),
        ("ended", Literal::Rows(&list)),
        ("errors", Literal::Bytes(&errors)),
    ]);
    applied(burials.len(), &script.alone(connection, begin).await?)
}

pub(super) async fn letters(
    connection: &mut MySqlConnection,
    sql: &Statements,
    queue: &str,
    after: i64,
    limit: usize,
) -> Outcome<Vec<Letter>> {
    let query = sql.letters.query().bind(queue).bind(after).bind(most(limit));
    query.fetch_all(connection).await.map_err(running)?.iter().map(letter).collect()
}

fn letter(row: &MySqlRow) -> Outcome<Letter> {
    Ok(Letter {
        burial: row.try_get("burial").map_err(running)?,
        id: job_id(row.try_get("id").map_err(running)?)?,
        payload: row.try_get("payload").map_err(running)?,
        attempts: row.try_get::<i32, _>("attempts").map_err(running)?.unsigned_abs(),
        lost: row.try_get::<i32, _>("lost").map_err(running)?.unsigned_abs(),
        error: row.try_get("error").map_err(running)?,
    })
}

pub(super) async fn last_burial(
    connection: &mut MySqlConnection,
    sql: &Statements,
    queue: &str,
) -> Outcome<Option<i64>> {
    let row = sql.last_burial.query().bind(queue).fetch_one(connection).await.map_err(running)?;
    row.try_get(0).map_err(running)
}

pub(super) async fn revive(
    connection: &mut MySqlConnection,
    begin: &'static str,
    sql: &Statements,
    queue: &str,
    burials: Burials,
) -> Outcome<Moved> {
    // A job that comes in the way meanwhile makes it a conflict: then all is undone and done again.
    moved(&over(&sql.revive, queue, burials).alone(connection, begin).await?)
}

pub(super) async fn remove(
    connection: &mut MySqlConnection,
    begin: &'static str,
    sql: &Statements,
    queue: &str,
    burials: Burials,
) -> Outcome<Moved> {
    moved(&over(&sql.remove, queue, burials).alone(connection, begin).await?)
}

fn over(script: &Script, queue: &str, burials: Burials) -> Filled {
    script.filled(&[
        ("queue", Literal::Name(queue)),
        ("after", Literal::Number(burials.after)),
        ("until", Literal::Number(burials.until)),
        ("most", Literal::Number(most(burials.limit))),
    ])
}

fn moved(rows: &[MySqlRow]) -> Outcome<Moved> {
    let row = rows.last().ok_or_else(|| running(sqlx::Error::RowNotFound))?;
    let count: i64 = row.try_get("count").map_err(running)?;
    Ok(Moved { count: count.unsigned_abs(), last: row.try_get("last").map_err(running)? })
}

pub(super) async fn count(connection: &mut MySqlConnection, sql: &Statements, queue: &str) -> Outcome<u64> {
    let row = sql.count_letters.query().bind(queue).fetch_one(connection).await.map_err(running)?;
    Ok(row.try_get::<i64, _>(0).map_err(running)?.unsigned_abs())
}
