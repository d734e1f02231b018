//! Reserving under a rate limit: the log of takes is locked first, and written last.

use sqlx::{MySqlConnection, Row as _};
use stream_core::RateLimit;

use super::{
    faults::running,
    jobs,
    script::{Literal, undone},
    statements::Statements,
};
use crate::{
    fault::Outcome,
    row::{Limited, Take},
    take_log::TakeLog,
};

pub(super) async fn reserve(
    connection: &mut MySqlConnection,
    begin: &'static str,
    sql: &Statements,
    queue: &str,
    take: Take,
    limit: RateLimit,
) -> Outcome<Limited> {
    // Nothing is lost with a transaction that did not begin.
    execute(connection, begin).await?;
    match take_under(connection, sql, queue, take, limit).await {
        Ok(limited) => {
            execute(connection, "COMMIT").await?;
            Ok(limited)
        }
        Err(failure) => Err(undone(connection, failure).await),
    }
}

async fn take_under(
    connection: &mut MySqlConnection,
    sql: &Statements,
    queue: &str,
    mut take: Take,
    limit: RateLimit,
) -> Outcome<Limited> {
    let (mut log, now) = lock(connection, sql, queue).await?;
    take.max_jobs = take.max_jobs.min(log.permits(limit, now));
    let rows = match take.max_jobs {
        0 => Vec::new(),
        _ => jobs::taken(&jobs::reserve(sql, queue, take).within(connection).await?)?,
    };
    if !rows.is_empty() {
        log.note(rows.len(), limit, now);
        let write = sql.write_limit.query().bind(log.to_bytes()).bind(queue);
        write.execute(connection).await.map_err(running)?;
    }
    Ok(Limited { rows, wait: log.wait(limit, now) })
}

async fn execute(connection: &mut MySqlConnection, sql: &'static str) -> Outcome<()> {
    sqlx::raw_sql(sql).execute(connection).await.map_err(running)?;
    Ok(())
}

/// Locks the queue's log until the transaction ends; the log, and the time after that.
async fn lock(connection: &mut MySqlConnection, sql: &Statements, queue: &str) -> Outcome<(TakeLog, i64)> {
    loop {
        let script = sql.lock_limit.filled(&[("queue", Literal::Name(queue))]);
        if let [log, now] = &script.within(connection).await?[..] {
            let log: Vec<u8> = log.try_get("log").map_err(running)?;
            return Ok((TakeLog::read(&log)?, now.try_get("now").map_err(running)?));
        }
        // The first limited reserve of the queue, ever: nobody removes these rows.
        sql.make_limit.query().bind(queue).execute(&mut *connection).await.map_err(running)?;
    }
}
