//! The table of dead letters.

use sqlx::{MySql as My, MySqlConnection, Row as _, mysql::MySqlRow, pool::PoolConnection};

use super::{
    faults::running,
    jobs::{applied, count as most, job_id},
    list::List,
    script::Literal,
    session::Session,
    statements::Statements,
};
use crate::{
    fault::Outcome,
    row::{Burial, Burials, Fenced, Letter, Moved},
};

pub(super) async fn bury(
    connection: &mut PoolConnection<My>,
    session: Session,
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
    applied(burials.len(), &script.alone(connection, session).await?)
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

/// A letter that is locked, so that it can be moved.
struct Locked {
    burial: i64,
    id: Vec<u8>,
    unique_key: Option<Vec<u8>>,
}

pub(super) async fn revive(
    connection: &mut MySqlConnection,
    session: Session,
    sql: &Statements,
    queue: &str,
    burials: Burials,
) -> Outcome<Moved> {
    let mut transaction = session.transaction(connection).await?;
    let locked = lock(&mut transaction, sql, queue, burials).await?;
    let last = locked.last().map(|letter| letter.burial);
    let free = free(&mut transaction, sql, queue, locked).await?;
    if !free.is_empty() {
        let list = List::numbers(free.iter().copied());
        // A job that came in the way just now makes it a conflict: then all is undone and done again.
        for statement in [&sql.revive, &sql.remove] {
            statement.query().bind(list.as_str()).execute(&mut *transaction).await.map_err(running)?;
        }
    }
    transaction.commit().await.map_err(running)?;
    Ok(Moved { count: free.len() as u64, last })
}

pub(super) async fn remove(
    connection: &mut MySqlConnection,
    session: Session,
    sql: &Statements,
    queue: &str,
    burials: Burials,
) -> Outcome<Moved> {
    let mut transaction = session.transaction(connection).await?;
    let locked = lock(&mut transaction, sql, queue, burials).await?;
    let list = List::numbers(locked.iter().map(|letter| letter.burial));
    sql.remove.query().bind(list.as_str()).execute(&mut *transaction).await.map_err(running)?;
    transaction.commit().await.map_err(running)?;
    Ok(Moved { count: locked.len() as u64, last: locked.last().map(|letter| letter.burial) })
}

async fn lock(
    connection: &mut MySqlConnection,
    sql: &Statements,
    queue: &str,
    burials: Burials,
) -> Outcome<Vec<Locked>> {
    let Burials { after, until, limit } = burials;
    let query = sql.lock_letters.query().bind(queue).bind(after).bind(until).bind(most(limit));
    let letter = |row: &MySqlRow| -> sqlx::Result<Locked> {
        Ok(Locked {
            burial: row.try_get("burial")?,
            id: row.try_get("id")?,
            unique_key: row.try_get("unique_key")?,
        })
    };
    let rows = query.fetch_all(connection).await.map_err(running)?;
    rows.iter().map(|row| letter(row).map_err(running)).collect()
}

/// The burials of those whose id and unique key no job of the queue holds, nor an earlier one of them.
async fn free(
    connection: &mut MySqlConnection,
    sql: &Statements,
    queue: &str,
    letters: Vec<Locked>,
) -> Outcome<Vec<i64>> {
    let list = List::to_find(letters.iter().map(|letter| (&letter.id[..], letter.unique_key.as_deref())));
    let query = sql.find.query().bind(queue).bind(queue).bind(queue).bind(list.as_str());
    let found = query.fetch_all(connection).await.map_err(running)?;
    let (mut ids, mut keys) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    let mut free = Vec::with_capacity(letters.len());
    for (letter, row) in letters.into_iter().zip(&found) {
        let holder: Option<Vec<u8>> = row.try_get("holder").map_err(running)?;
        let is_held = holder.is_some() || row.try_get::<bool, _>("is_waiting").map_err(running)?;
        if !is_held && ids.insert(letter.id) && letter.unique_key.is_none_or(|key| keys.insert(key)) {
            free.push(letter.burial);
        }
    }
    Ok(free)
}

pub(super) async fn count(connection: &mut MySqlConnection, sql: &Statements, queue: &str) -> Outcome<u64> {
    let row = sql.count_letters.query().bind(queue).fetch_one(connection).await.map_err(running)?;
    Ok(row.try_get::<i64, _>(0).map_err(running)?.unsigned_abs())
}
