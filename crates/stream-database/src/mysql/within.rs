//! Statements in a transaction of the program: each between a savepoint and its end.

use sqlx::{MySql as My, MySqlConnection, Row as _, Transaction};
use stream_core::Pushed;

use super::{faults::running, insert, list::List, session::Facts, statements::Statements};
use crate::{
    DatabaseTransaction,
    completions::Ticket,
    fault::Outcome,
    receipt,
    row::{Key, NewRow},
};

impl<'t> From<&'t mut Transaction<'_, My>> for DatabaseTransaction<'t> {
    fn from(transaction: &'t mut Transaction<'_, My>) -> Self {
        Self::on(&mut **transaction)
    }
}

pub(super) async fn insert(
    transaction: &mut DatabaseTransaction<'_>,
    sql: &Statements,
    facts: Option<Facts>,
    queue: &str,
    rows: &[NewRow<'_>],
) -> Outcome<Vec<bool>> {
    let connection = begin(transaction).await?;
    let stored = insert::insert(connection, sql, &sql.find_in, facts, queue, rows).await;
    end(connection, stored).await
}

pub(super) async fn find(
    transaction: &mut DatabaseTransaction<'_>,
    sql: &Statements,
    queue: &str,
    rows: &[NewRow<'_>],
) -> Outcome<Vec<Option<Pushed>>> {
    let connection = begin(transaction).await?;
    let found = insert::find(connection, &sql.find_in, queue, rows).await;
    end(connection, found).await
}

pub(super) async fn finish(
    transaction: &mut DatabaseTransaction<'_>,
    sql: &Statements,
    queue: &str,
    key: Key,
) -> Outcome<Option<Ticket>> {
    let connection = begin(transaction).await?;
    let ticket = finish_and_note(connection, sql, queue, key).await;
    end(connection, ticket).await
}

/// Neither database tells of a transaction that is over whether it was committed: a row of ours does.
async fn finish_and_note(
    connection: &mut MySqlConnection,
    sql: &Statements,
    queue: &str,
    key: Key,
) -> Outcome<Option<Ticket>> {
    let query = sql.finish_one.query().bind(&key.id.as_bytes()[..]).bind(queue).bind(key.token);
    if query.execute(&mut *connection).await.map_err(running)?.rows_affected() == 0 {
        return Ok(None);
    }
    let ticket = receipt::token();
    sql.note_done.query().bind(ticket).execute(connection).await.map_err(running)?;
    Ok(Some(ticket))
}

/// Of each ticket, whether its transaction was committed.
pub(super) async fn have_committed(
    connection: &mut MySqlConnection,
    sql: &Statements,
    tickets: &[Ticket],
) -> Outcome<Vec<bool>> {
    let list = List::numbers(tickets);
    let query = sql.have_committed.query().bind(list.as_str());
    let rows = query.fetch_all(&mut *connection).await.map_err(running)?;
    sql.forget_done.query().execute(connection).await.map_err(running)?;
    rows.iter().map(|row| row.try_get(0).map_err(running)).collect()
}

/// A statement that fails is undone by itself, but what a push does is several.
///
/// A deadlock undoes the whole transaction of the program, which is told so by the error.
async fn begin<'c>(transaction: &'c mut DatabaseTransaction<'_>) -> Outcome<&'c mut MySqlConnection> {
    let connection: &mut MySqlConnection = transaction.connection()?;
    execute(connection, "SAVEPOINT stream_step").await?;
    Ok(connection)
}

/// Keeps what the statements have done, or undoes it.
async fn end<T>(connection: &mut MySqlConnection, answer: Outcome<T>) -> Outcome<T> {
    match answer {
        Ok(answer) => {
            execute(connection, "RELEASE SAVEPOINT stream_step").await?;
            Ok(answer)
        }
        Err(failure) => {
            // If that fails as well the savepoint is gone, and the transaction with it.
            let _: Outcome<()> =
                execute(connection, "ROLLBACK TO SAVEPOINT stream_step; RELEASE SAVEPOINT stream_step").await;
            Err(failure)
        }
    }
}

async fn execute(connection: &mut MySqlConnection, sql: &'static str) -> Outcome<()> {
    sqlx::raw_sql(sql).execute(connection).await.map_err(running)?;
    Ok(())
}
