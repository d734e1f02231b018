//! The tables: how they come to be, and what their server's owner should know.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _};
use stream_core::Finding;

use super::{
    faults::{connecting, running},
    statements::Statements,
};
use crate::{
    fault::Outcome,
    migration::{self, Step, Written},
    names::Names,
};

/// Appended to, never changed: a step that was run somewhere is not run again.
const STEPS: [Written; 2] = [
    Written { name: "jobs, dead letters and rate limits", sql: include_str!("sql/0001_jobs.sql") },
    Written { name: "functions", sql: FUNCTIONS },
];

/// The statements that must not be planned by statistics: a queue is empty at one moment and has a million
/// jobs at the next, and a plan that was made for few rows reads all of them for each job.
///
/// A function has its own settings for the planner, whoever calls it and over which pooler.
const FUNCTIONS: &str = concat!(
    include_str!("sql/functions/insert.sql"),
    include_str!("sql/functions/find.sql"),
    include_str!("sql/functions/reserve.sql"),
    include_str!("sql/functions/probe.sql"),
    include_str!("sql/functions/finish.sql"),
    include_str!("sql/functions/put_back.sql"),
    include_str!("sql/functions/bury.sql"),
    include_str!("sql/functions/extend.sql"),
    include_str!("sql/functions/clear.sql"),
    include_str!("sql/functions/letters.sql"),
    include_str!("sql/functions/revive.sql"),
    include_str!("sql/functions/remove.sql"),
);

/// The oldest release whose planner keeps a `MATERIALIZED` part apart.
const SERVER_MIN: i32 = 12_00_00;

/// What `inspect.sql` answers true where it is so, what that means, and what repairs it.
const WRONG: [(&str, &str, &str); 4] = [
    ("is_unsynced", "fsync is off: a crash of the machine can lose or spoil jobs", "set `fsync = on`"),
    (
        "is_not_awaited",
        "synchronous_commit is off: a crash of the server can lose jobs whose push was answered",
        "set `synchronous_commit = on` for this database or user",
    ),
    (
        "is_read_only",
        "the session is read only",
        "connect to the primary, and set `default_transaction_read_only = off`",
    ),
    (
        "is_forbidden",
        "this user may not read and change the tables",
        "grant it SELECT, INSERT, UPDATE and DELETE on them",
    ),
];

/// `undefined_table`.
const NO_TABLE: &str = "42P01";

pub(super) fn steps(names: &Names) -> Vec<Step> {
    migration::rendered(names, &STEPS)
}

pub(super) async fn version(connection: &mut PgConnection, sql: &Statements) -> Outcome<u32> {
    match sql.version.query().fetch_one(connection).await {
        Ok(row) => Ok(row.try_get::<i32, _>(0).map_err(running)?.unsigned_abs()),
        Err(sqlx::Error::Database(said)) if said.code().as_deref() == Some(NO_TABLE) => Ok(0),
        Err(error) => Err(running(error)),
    }
}

/// In one transaction, under a lock of the whole database that ends with it.
pub(super) async fn migrate(
    connection: &mut PgConnection,
    sql: &Statements,
    name: &str,
    steps: &[Step],
) -> Outcome<u32> {
    let last = steps.last().map_or(0, |step| step.version);
    // Who may not create tables can still use those that are there.
    let found = version(connection, sql).await?;
    if found >= last {
        return Ok(found);
    }
    let mut transaction = connection.begin().await.map_err(connecting)?;
    match grow(&mut transaction, sql, name, steps).await {
        Ok(found) => {
            transaction.commit().await.map_err(running)?;
            Ok(found)
        }
        Err(failure) => {
            // A drop would leave it open until the connection is used again.
            let _: sqlx::Result<()> = transaction.rollback().await;
            Err(failure)
        }
    }
}

async fn grow(connection: &mut PgConnection, sql: &Statements, name: &str, steps: &[Step]) -> Outcome<u32> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))");
    lock.bind(format!("stream migrate {name}")).execute(&mut *connection).await.map_err(running)?;
    sql.make_versions.query().execute(&mut *connection).await.map_err(running)?;
    let found = version(connection, sql).await?;
    for step in steps.iter().filter(|step| step.version > found) {
        for statement in &step.statements {
            let statement = sqlx::raw_sql(AssertSqlSafe(statement.clone()));
            statement.execute(&mut *connection).await.map_err(running)?;
        }
        let note = sql.note_version.query().bind(step.version.cast_signed()).bind(step.name);
        note.execute(&mut *connection).await.map_err(running)?;
    }
    Ok(found)
}

pub(super) async fn inspect(connection: &mut PgConnection, sql: &Statements) -> Outcome<Vec<Finding>> {
    let row = sql.inspect.query().fetch_one(connection).await.map_err(running)?;
    let holds = |name| row.try_get::<bool, _>(name).map_err(running);
    let mut findings = Vec::new();
    let server: i32 = row.try_get("version").map_err(running)?;
    if server < SERVER_MIN {
        let what = format!("the server has version {}", server / 10_000);
        findings.push(Finding::severe(what, "take PostgreSQL 12 or newer"));
    }
    for (wrong, what, repair) in WRONG {
        if holds(wrong)? {
            findings.push(Finding::severe(what, repair));
        }
    }
    Ok(findings)
}
