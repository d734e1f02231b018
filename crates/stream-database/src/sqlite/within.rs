//! Statements in a transaction of the program.
//!
//! One statement that fails is undone by itself, and the transaction goes on; several stand in a savepoint.

use std::hash::{BuildHasher, RandomState};

use sqlx::{Row as _, Sqlite, SqliteConnection, Transaction};
use stream_core::Pushed;

use super::{
    change::{Change, Session},
    faults::running,
    jobs::{self, Insert},
    pack,
    statements::Statements,
};
use crate::{
    DatabaseTransaction,
    completions::Ticket,
    fault::Outcome,
    row::{Key, NewRow},
};

/// How long a file keeps the tickets of committed transactions, in microseconds. Of an older one nobody else
/// is left to have ended the delivery.
const KEPT: i64 = 60 * 60 * 1_000_000;
/// What the microseconds in a ticket are multiplied by; the rest is random.
const SHARES: i64 = 1_024;

impl<'t> From<&'t mut Transaction<'_, Sqlite>> for DatabaseTransaction<'t> {
    fn from(transaction: &'t mut Transaction<'_, Sqlite>) -> Self {
        Self::on(&mut **transaction)
    }
}

pub(super) async fn insert(
    transaction: &mut DatabaseTransaction<'_>,
    sql: &Statements,
    queue: &str,
    rows: &[NewRow<'_>],
    now: i64,
) -> Outcome<Vec<bool>> {
    let connection: &mut SqliteConnection = transaction.connection()?;
    Insert::new(queue, rows).make(&mut Session { connection, sql, setting: None, now }).await
}

pub(super) async fn find(
    transaction: &mut DatabaseTransaction<'_>,
    sql: &Statements,
    queue: &str,
    rows: &[NewRow<'_>],
) -> Outcome<Vec<Option<Pushed>>> {
    jobs::find(transaction.connection()?, sql, queue, rows).await
}

/// Deletes the row and leaves a ticket, which is there if the transaction was committed.
pub(super) async fn finish(
    transaction: &mut DatabaseTransaction<'_>,
    sql: &Statements,
    queue: &str,
    key: Key,
    now: i64,
) -> Outcome<Option<Ticket>> {
    let connection: &mut SqliteConnection = transaction.connection()?;
    execute(connection, "SAVEPOINT stream_step").await?;
    let ended = finish_step(connection, sql, queue, key, now).await;
    if ended.is_err() {
        // If that fails as well the transaction is gone.
        let _: Outcome<()> = execute(connection, "ROLLBACK TO stream_step").await;
    }
    execute(connection, "RELEASE stream_step").await?;
    ended
}

async fn finish_step(
    connection: &mut SqliteConnection,
    sql: &Statements,
    queue: &str,
    key: Key,
    now: i64,
) -> Outcome<Option<Ticket>> {
    let finish = sql.finish_in.query().bind(queue).bind(key.id.as_bytes().as_slice()).bind(key.token);
    if finish.execute(&mut *connection).await.map_err(running)?.rows_affected() == 0 {
        return Ok(None);
    }
    // Not the time alone, since another process may have the same, and roll it back.
    let share = RandomState::new().hash_one(0_u8) as i64;
    let ticket = now * SHARES + share.rem_euclid(SHARES);
    sql.note_ticket.query().bind(ticket).execute(&mut *connection).await.map_err(running)?;
    let oldest = (now - KEPT) * SHARES;
    sql.forget_tickets.query().bind(oldest).execute(&mut *connection).await.map_err(running)?;
    Ok(Some(ticket))
}

/// Of each ticket, whether its transaction was committed.
pub(super) async fn have_committed(
    connection: &mut SqliteConnection,
    sql: &Statements,
    tickets: &[Ticket],
    now: i64,
) -> Outcome<Vec<bool>> {
    let list = pack::list(tickets, |json, ticket| pack::number(json, *ticket));
    let oldest = (now - KEPT) * SHARES;
    let rows = sql.have_committed.query().bind(list).bind(oldest).fetch_all(connection).await;
    rows.map_err(running)?.iter().map(|row| row.try_get(0).map_err(running)).collect()
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Outcome<()> {
    sqlx::query(sql).execute(connection).await.map(drop).map_err(running)
}
