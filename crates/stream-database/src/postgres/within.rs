//! Statements in a transaction of the program: each between a savepoint and its end.

use sqlx::{PgConnection, Postgres as Pg, Row as _, Transaction};
use stream_core::Pushed;

use super::{
    faults::running,
    jobs::{self, columns},
    statements::Statements,
};
use crate::{
    DatabaseTransaction,
    completions::Ticket,
    fault::Outcome,
    row::{Key, NewRow},
};

impl<'t> From<&'t mut Transaction<'_, Pg>> for DatabaseTransaction<'t> {
    fn from(transaction: &'t mut Transaction<'_, Pg>) -> Self {
        Self::on(&mut **transaction)
    }
}

pub(super) async fn insert(
    transaction: &mut DatabaseTransaction<'_>,
    sql: &Statements,
    queue: &str,
    rows: &[NewRow<'_>],
    channel: Option<&str>,
) -> Outcome<Vec<bool>> {
    let connection = begin(transaction).await?;
    let stored = jobs::insert(connection, sql, queue, rows, channel).await;
    end(connection, stored).await
}

pub(super) async fn find(
    transaction: &mut DatabaseTransaction<'_>,
    sql: &Statements,
    queue: &str,
    rows: &[NewRow<'_>],
) -> Outcome<Vec<Option<Pushed>>> {
    let connection = begin(transaction).await?;
    let found = jobs::find(connection, sql, queue, rows).await;
    end(connection, found).await
}

pub(super) async fn finish(
    transaction: &mut DatabaseTransaction<'_>,
    sql: &Statements,
    queue: &str,
    key: Key,
) -> Outcome<Option<Ticket>> {
    let connection = begin(transaction).await?;
    let query = sql.finish_in.query().bind(queue).bind(jobs::uuid(key.id)).bind(key.token);
    let ticket = query.fetch_one(&mut *connection).await.and_then(|row| {
        let is_current: bool = row.try_get(0)?;
        is_current.then(|| row.try_get(1)).transpose()
    });
    end(connection, ticket.map_err(running)).await
}

/// Of each ticket, whether its transaction was committed.
pub(super) async fn have_committed(
    connection: &mut PgConnection,
    sql: &Statements,
    tickets: &[Ticket],
) -> Outcome<Vec<bool>> {
    let rows = sql.have_committed.query().bind(tickets).fetch_all(connection).await.map_err(running)?;
    Ok(columns(&rows)?.collect())
}

/// A statement that fails spoils the whole transaction, and a commit of that is answered like any other:
/// a program that goes on after an error would lose all it has written.
///
/// Not by `begin` of sqlx, which rolls the program's own transaction back when it is dropped half way.
async fn begin<'c>(transaction: &'c mut DatabaseTransaction<'_>) -> Outcome<&'c mut PgConnection> {
    let connection: &mut PgConnection = transaction.connection()?;
    execute(connection, "SAVEPOINT stream_step").await?;
    Ok(connection)
}

/// Keeps what the statement has done, or undoes it.
async fn end<T>(connection: &mut PgConnection, answer: Outcome<T>) -> Outcome<T> {
    match answer {
        Ok(answer) => {
            execute(connection, "RELEASE SAVEPOINT stream_step").await?;
            Ok(answer)
        }
        Err(failure) => {
            // If that fails as well the connection is gone, and the transaction with it.
            let _: Outcome<()> =
                execute(connection, "ROLLBACK TO SAVEPOINT stream_step; RELEASE SAVEPOINT stream_step").await;
            Err(failure)
        }
    }
}

async fn execute(connection: &mut PgConnection, sql: &'static str) -> Outcome<()> {
    sqlx::raw_sql(sql).execute(connection).await.map_err(running)?;
    Ok(())
}
