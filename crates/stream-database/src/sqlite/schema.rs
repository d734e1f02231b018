//! The tables: how they come to be, and what their file's owner should know.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};
use stream_core::Finding;

use super::{
    change::{Change, Parts, Session},
    faults::running,
    statements::Statements,
};
use crate::{
    fault::{Fault, Outcome},
    migration::{self, Step, Written},
    names::Names,
};

/// Appended to, never changed: a step that was run somewhere is not run again.
const STEPS: [Written; 1] =
    [Written { name: "jobs, dead letters and rate limits", sql: include_str!("sql/0001_jobs.sql") }];

/// The oldest release whose `unixepoch` tells fractions of a second: what else is asked is older.
const LIBRARY_MIN: (u32, u32) = (3, 42);

pub(super) fn steps(names: &Names) -> Vec<Step> {
    migration::rendered(names, &STEPS)
}

pub(super) async fn version(connection: &mut SqliteConnection, sql: &Statements) -> Outcome<u32> {
    match sql.version.query().fetch_one(connection).await.map_err(running) {
        Ok(row) => row.try_get(0).map_err(running),
        // No table of versions.
        Err(failure) if failure.fault == Fault::Config && failure.detail.is_none() => Ok(0),
        Err(failure) => Err(failure),
    }
}

/// The steps that a schema lacks.
pub(super) struct Migrate {
    pub(super) steps: Vec<Step>,
}

#[async_trait]
impl Change for Migrate {
    type Answer = u32;

    fn parts(&self) -> Parts {
        Parts::Several
    }

    async fn make(&self, session: &mut Session<'_>) -> Outcome<u32> {
        session.sql.make_versions.query().execute(&mut *session.connection).await.map_err(running)?;
        let found = version(session.connection, session.sql).await?;
        for step in self.steps.iter().filter(|step| step.version > found) {
            for statement in &step.statements {
                let statement = sqlx::raw_sql(AssertSqlSafe(statement.clone()));
                statement.execute(&mut *session.connection).await.map_err(running)?;
            }
            let note = session.sql.note_version.query().bind(step.version).bind(step.name);
            note.execute(&mut *session.connection).await.map_err(running)?;
        }
        Ok(found)
    }
}

/// What the writer's own connection knows of the file.
pub(super) struct Inspect;

#[async_trait]
impl Change for Inspect {
    type Answer = Vec<Finding>;

    fn parts(&self) -> Parts {
        Parts::Several
    }

    async fn make(&self, session: &mut Session<'_>) -> Outcome<Vec<Finding>> {
        match session.sql.try_write.query().execute(&mut *session.connection).await.map_err(running) {
            // Missing tables are told of elsewhere.
            Err(failure) if failure.fault != Fault::Config => return Err(failure),
            _ => {}
        }
        let mut findings = Vec::new();
        let journal: String = ask(session, "PRAGMA journal_mode").await?;
        if journal != "wal" {
            let what = format!("the journal of the file is `{journal}`: who writes keeps all from reading");
            findings.push(Finding::advice(what, "set `PRAGMA journal_mode = wal`, once"));
        }
        let synchronous: i64 = ask(session, "PRAGMA synchronous").await?;
        if synchronous < 2 {
            findings.push(Finding::severe(
                "synchronous is below FULL: a loss of power can lose jobs whose push was answered",
                "open the pool with `synchronous(SqliteSynchronous::Full)`",
            ));
        }
        let library: String = ask(session, "SELECT sqlite_version()").await?;
        if numbers(&library) < LIBRARY_MIN {
            let what = format!("the library of SQLite has version {library}");
            findings.push(Finding::severe(what, "take SQLite 3.42 or newer"));
        }
        Ok(findings)
    }
}

async fn ask<T>(session: &mut Session<'_>, sql: &'static str) -> Outcome<T>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    let row = sqlx::query(sql).fetch_one(&mut *session.connection).await.map_err(running)?;
    row.try_get(0).map_err(running)
}

fn numbers(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
