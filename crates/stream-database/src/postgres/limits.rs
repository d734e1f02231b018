//! Reserving under a rate limit: the log of takes is locked first, and written last.

use sqlx::{Connection, PgConnection, Row as _};
use stream_core::RateLimit;

use super::{
    faults::{connecting, running},
    jobs,
    statements::Statements,
};
use crate::{
    fault::Outcome,
    row::{Limited, Take},
    take_log::TakeLog,
};

pub(super) async fn reserve(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    take: Take,
    limit: RateLimit,
) -> Outcome<Limited> {
    // Nothing is lost with a transaction that did not begin.
    let mut transaction = connection.begin().await.map_err(connecting)?;
    match take_under(&mut transaction, sql, queue, take, limit).await {
        Ok(limited) => {
            transaction.commit().await.map_err(running)?;
            Ok(limited)
        }
        Err(failure) => {
            // A drop would leave it open until the connection is used again.
            let _: sqlx::Result<()> = transaction.rollback().await;
            Err(failure)
        }
    }
}

async fn take_under(
    connection: &mut PgConnection,
    sql: &Statements,
    queue: &str,
    mut take: Take,
    limit: RateLimit,
) -> Outcome<Limited> {
    let (mut log, now) = lock(connection, sql, queue).await?;
    take.max_jobs = take.max_jobs.min(log.permits(limit, now));
    let rows = match take.max_jobs {
        0 => Vec::new(),
        _ => jobs::ordered(jobs::reserve(connection, sql, queue, take, None).await?),
    };
    if !rows.is_empty() {
        log.note(rows.len(), limit, now);
        let write = sql.write_limit.query().bind(queue).bind(log.to_bytes());
        write.execute(connection).await.map_err(running)?;
    }
    Ok(Limited { rows, wait: log.wait(limit, now) })
}

/// Locks the queue's log until the transaction ends; the log, and the time after that.
async fn lock(connection: &mut PgConnection, sql: &Statements, queue: &str) -> Outcome<(TakeLog, i64)> {
    loop {
        let query = sql.lock_limit.query().bind(queue);
        if let Some(row) = query.fetch_optional(&mut *connection).await.map_err(running)? {
            let log: Vec<u8> = row.try_get("log").map_err(running)?;
            return Ok((TakeLog::read(&log)?, row.try_get("now").map_err(running)?));
        }
        // The first limited reserve of the queue, ever: nobody removes these rows.
        sql.make_limit.query().bind(queue).execute(&mut *connection).await.map_err(running)?;
    }
}
