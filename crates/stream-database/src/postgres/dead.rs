//! The table of dead letters: each function is one statement.

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    faults::running,
    jobs::{count as most, job_id},
    statements::{Statement, Statements},
    turns::turns,
};
use crate::{
    fault::Outcome,
    row::{Burial, Burials, Fenced, Key, Letter, Moved},
};

pub(super) async fn bury(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    burials: &[Burial<'_>],
) -> Outcome<Vec<Fenced>> {
    let keys: Vec<Key> = burials.iter().map(|burial| burial.key).collect();
    let mut answers = vec![Fenced::Applied; burials.len()];
    for turn in turns(&keys) {
        let query = sql.bury.query().bind(queue).bind(turn.ids(&keys)).bind(turn.tokens(&keys));
        let query = query.bind(turn.each(burials, |burial| burial.error));
        turn.note(&mut answers, &query.fetch_one(&mut *connection).await.map_err(running)?)?;
    }
    Ok(answers)
}

pub(super) async fn letters(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    after: i64,
    limit: usize,
) -> Outcome<Vec<Letter>> {
    let query = sql.letters.query().bind(queue).bind(after).bind(most(limit));
    let rows = query.fetch_all(connection).await.map_err(running)?;
    rows.iter().map(|row| letter(row).map_err(running)).collect()
}

fn letter(row: &PgRow) -> sqlx::Result<Letter> {
    Ok(Letter {
        burial: row.try_get("burial")?,
        id: job_id(row.try_get("id")?),
        payload: row.try_get("payload")?,
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        lost: row.try_get::<i32, _>("lost")?.unsigned_abs(),
        error: row.try_get("error")?,
    })
}

pub(super) async fn last_burial(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
) -> Outcome<Option<i64>> {
    let row = sql.last_burial.query().bind(queue).fetch_one(connection).await.map_err(running)?;
    row.try_get(0).map_err(running)
}

pub(super) async fn revive(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    burials: Burials,
    channel: Option<&str>,
) -> Outcome<Moved> {
    let query = over(&sql.revive, queue, burials).bind(channel);
    moved(&query.fetch_one(connection).await.map_err(running)?).map_err(running)
}

pub(super) async fn remove(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    burials: Burials,
) -> Outcome<Moved> {
    let query = over(&sql.remove, queue, burials);
    moved(&query.fetch_one(connection).await.map_err(running)?).map_err(running)
}

pub(super) async fn count(connection: &mut PgConnection, sql: &Statements, queue: &str) -> Outcome<u64> {
    let row = sql.count_letters.query().bind(queue).fetch_one(connection).await.map_err(running)?;
    Ok(row.try_get::<i64, _>(0).map_err(running)?.unsigned_abs())
}

fn over<'q>(
    statement: &Statement,
    queue: &'q str,
    burials: Burials,
) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
    let Burials { after, until, limit } = burials;
    statement.query().bind(queue).bind(after).bind(until).bind(most(limit))
}

fn moved(row: &PgRow) -> sqlx::Result<Moved> {
    Ok(Moved { count: row.try_get::<i64, _>("count")?.unsigned_abs(), last: row.try_get("last")? })
}
