//! Storing rows: in one statement when nothing is in the way, else without those that something is.

use std::collections::HashSet;

use sqlx::{MySqlConnection, Row as _};
use stream_core::Pushed;

use super::{
    faults::{is_duplicate, running},
    jobs::job_id,
    list::List,
    session::Facts,
    statements::{Statement, Statements},
};
use crate::{
    dialect::found,
    fault::{Failure, Fault, Outcome},
    row::NewRow,
};

/// How often rows are inserted without those that were in the way, which others keep storing and removing.
const ROUNDS: usize = 3;
/// What a message holds beside its payloads and its list.
const HEAD_BYTES: usize = 4 * 1024;

pub(super) async fn insert(
    connection: &mut MySqlConnection,
    sql: &Statements,
    find_sql: &Statement,
    facts: Option<Facts>,
    queue: &str,
    rows: &[NewRow<'_>],
) -> Outcome<Vec<bool>> {
    let mut free: Vec<usize> = (0..rows.len()).collect();
    for _ in 0..ROUNDS {
        let asked: Vec<NewRow<'_>> = free.iter().map(|at| rows[*at]).collect();
        if asked.is_empty() || store(connection, sql, facts, queue, &asked).await? {
            let free: HashSet<usize> = free.into_iter().collect();
            return Ok((0..rows.len()).map(|at| free.contains(&at)).collect());
        }
        let found = find(connection, find_sql, queue, rows).await?;
        free = without(rows, &found);
    }
    if free.len() < rows.len() {
        return Err(Failure::new(Fault::Conflict, "others keep storing and removing the same jobs"));
    }
    // Nothing of ours is in the way: then it is a rule that is not ours, such as another unique index.
    Err(refused("the database has a unique index that these rows break".into()))
}

/// The rows that nothing is in the way of, nor an earlier row of the same call.
fn without(rows: &[NewRow<'_>], found: &[Option<Pushed>]) -> Vec<usize> {
    let mut keys = HashSet::new();
    let is_free = |at: &usize| {
        let is_first = rows[*at].unique_key.is_none_or(|key| keys.insert(key));
        found[*at].is_none() && is_first
    };
    (0..rows.len()).filter(is_free).collect()
}

/// Stores all rows and answers true, or none.
async fn store(
    connection: &mut MySqlConnection,
    sql: &Statements,
    facts: Option<Facts>,
    queue: &str,
    rows: &[NewRow<'_>],
) -> Outcome<bool> {
    let (list, payloads) = List::to_insert(rows);
    let bytes = payloads.len() + 2 * list.as_str().len() + HEAD_BYTES;
    if let Some(Facts { packet_bytes_max }) = facts
        && bytes > packet_bytes_max
    {
        // Sent all the same it would end the connection, and nobody would know why.
        return Err(refused(format!("{bytes} bytes are more than max_allowed_packet, {packet_bytes_max}")));
    }
    let query = sql.insert.query().bind(queue).bind(payloads).bind(list.as_str()).bind(list.as_str());
    match query.bind(queue).execute(connection).await {
        Ok(done) => Ok(done.rows_affected() == rows.len() as u64),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(running(error)),
    }
}

pub(super) async fn find(
    connection: &mut MySqlConnection,
    sql: &Statement,
    queue: &str,
    rows: &[NewRow<'_>],
) -> Outcome<Vec<Option<Pushed>>> {
    let list = List::to_find(rows.iter().map(|row| (&row.id.as_bytes()[..], row.unique_key)));
    let query = sql.query().bind(queue).bind(queue).bind(queue).bind(list.as_str());
    let answers = query.fetch_all(connection).await.map_err(running)?;
    let answer = |(row, answer): (&NewRow<'_>, &sqlx::mysql::MySqlRow)| {
        let is = |name| answer.try_get::<bool, _>(name).map_err(running);
        let holder: Option<Vec<u8>> = answer.try_get("holder").map_err(running)?;
        Ok(found(row.id, is("is_waiting")? || is("is_dead")?, holder.map(job_id).transpose()?))
    };
    rows.iter().zip(&answers).map(answer).collect()
}

/// The reason stands in the source: the driver puts the job's id before it.
fn refused(reason: String) -> Failure {
    Failure { source: Some(reason.into()), ..Failure::new(Fault::Refused, "the database refuses the rows") }
}
