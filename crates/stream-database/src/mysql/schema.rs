//! The tables: how they come to be, and what their server's owner should know.

use std::time::Duration;

use sqlx::{AssertSqlSafe, MySqlConnection, Row as _};
use stream_core::Finding;

use super::{
    faults::{self, is_forbidden, running},
    statements::Statements,
};
use crate::{
    fault::{Failure, Fault, Outcome},
    migration::{self, Step, Written},
    names::Names,
};

/// Appended to, never changed: a step that was run somewhere is not run again. Each statement is a
/// transaction of its own here, so each can be repeated after a process died among them.
const STEPS: [Written; 1] =
    [Written { name: "jobs, dead letters and rate limits", sql: include_str!("sql/0001_jobs.sql") }];

/// What `inspect.sql` answers true where it is so, what that means, and what repairs it.
const WRONG: [(&str, &str, &str); 4] = [
    (
        "is_not_flushed",
        "innodb_flush_log_at_trx_commit is not 1: a crash can lose jobs whose push was answered",
        "set `innodb_flush_log_at_trx_commit = 1`",
    ),
    (
        "is_not_synced",
        "sync_binlog is not 1: after a crash of the machine replicas can lack jobs whose push was answered",
        "set `sync_binlog = 1`",
    ),
    ("is_read_only", "the server is read only", "connect to the primary, and set `read_only = 0`"),
    (
        "is_of_another_engine",
        "not all tables are of the engine InnoDB, which alone has transactions",
        "run `ALTER TABLE .. ENGINE = InnoDB` for each",
    ),
];

pub(super) fn steps(names: &Names) -> Vec<Step> {
    migration::rendered(names, &STEPS)
}

pub(super) async fn version(connection: &mut MySqlConnection, sql: &Statements) -> Outcome<u32> {
    match sql.version.query().fetch_one(connection).await {
        Ok(row) => {
            let version: i64 = row.try_get(0).map_err(running)?;
            Ok(u32::try_from(version).unwrap_or(u32::MAX))
        }
        Err(error) if faults::is_missing_table(&error) => Ok(0),
        Err(error) => Err(running(error)),
    }
}

/// Under a lock that ends with the connection: it is not to be used for anything else after this.
pub(super) async fn migrate(
    connection: &mut MySqlConnection,
    sql: &Statements,
    name: &str,
    steps: &[Step],
    patience: Duration,
) -> Outcome<u32> {
    let last = steps.last().map_or(0, |step| step.version);
    // Who may not create tables can still use those that are there.
    let found = version(connection, sql).await?;
    if found >= last {
        return Ok(found);
    }
    let seconds = i64::try_from(patience.as_secs()).unwrap_or(i64::MAX);
    let lock = sql.lock_migration.query().bind(name).bind(seconds.clamp(1, 3_600));
    let row = lock.fetch_one(&mut *connection).await.map_err(running)?;
    if row.try_get::<Option<i64>, _>(0).map_err(running)? != Some(1) {
        return Err(Failure::new(Fault::Away, "another program is changing the tables"));
    }
    sql.make_versions.query().execute(&mut *connection).await.map_err(running)?;
    let found = version(connection, sql).await?;
    for step in steps.iter().filter(|step| step.version > found) {
        for statement in &step.statements {
            let statement = sqlx::raw_sql(AssertSqlSafe(statement.clone()));
            statement.execute(&mut *connection).await.map_err(running)?;
        }
        let note = sql.note_version.query().bind(step.version).bind(step.name);
        note.execute(&mut *connection).await.map_err(running)?;
    }
    Ok(found)
}

pub(super) async fn inspect(connection: &mut MySqlConnection, sql: &Statements) -> Outcome<Vec<Finding>> {
    let row = sql.inspect.query().fetch_one(&mut *connection).await.map_err(running)?;
    let mut findings = Vec::new();
    for (wrong, what, repair) in WRONG {
        if row.try_get::<i64, _>(wrong).map_err(running)? != 0 {
            findings.push(Finding::severe(what, repair));
        }
    }
    findings.extend(forbidden(connection, sql).await?);
    Ok(findings)
}

async fn forbidden(connection: &mut MySqlConnection, sql: &Statements) -> Outcome<Option<Finding>> {
    match sqlx::raw_sql(AssertSqlSafe(sql.allowed.text())).fetch_all(connection).await {
        Ok(_) => Ok(None),
        Err(error) if is_forbidden(&error) => {
            let what = "this user may not read and change the tables";
            Ok(Some(Finding::severe(what, "grant it SELECT, INSERT, UPDATE and DELETE on them")))
        }
        // That they are not there is told by their version.
        Err(error) if faults::is_missing_table(&error) => Ok(None),
        Err(error) => Err(running(error)),
    }
}
