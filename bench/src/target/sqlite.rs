//! The driver on a file of SQLite, beside its own statements on a bare connection of sqlx.

mod raw;

use std::{env, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sqlx::{Connection as _, Row as _, SqliteConnection};
use stream_core::{QueueName, async_trait};
use stream_database::{DatabaseConfig, DatabaseDriver};

use super::{Connection, Durability, RawLoop, Target};
use crate::{
    loads::Load,
    promises::{Bound, Measure, Promise},
};

/// Jobs in files beside this program.
#[derive(Debug)]
pub(crate) struct Sqlite;

/// What the jobs of the driver and of the raw loop are in: each has a file, and both are of the same tables.
fn file(name: &str) -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.parent().context("a program is in a folder")?.join(format!("bench-{name}.db")))
}

async fn migrated(name: &str) -> Result<(String, DatabaseDriver)> {
    let url = format!("sqlite:{}", file(name)?.display());
    let driver = DatabaseDriver::connect_with(&url, DatabaseConfig::new()).await?;
    driver.migrate().await?;
    Ok((url, driver))
}

#[async_trait]
impl Target for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn settings(&self) -> Result<Vec<(String, String)>> {
        let (url, driver) = migrated("driver").await?;
        let mut connection = SqliteConnection::connect(&url).await?;
        let row = sqlx::query("SELECT sqlite_version()").fetch_one(&mut connection).await?;
        let mut settings = vec![("sqlite_version".to_owned(), row.try_get(0)?)];
        let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut connection).await?;
        settings.push(("journal_mode".to_owned(), row.try_get(0)?));
        settings.push((
            "synchronous".to_owned(),
            "FULL, for reserve and extend NORMAL, on both sides".to_owned(),
        ));
        drop(driver);
        Ok(settings)
    }

    async fn durability(&self) -> Result<Durability> {
        // What the driver's own check says of its connection that writes.
        let (_, driver) = migrated("driver").await?;
        let findings = stream_core::Driver::check(&driver).await?;
        Ok(match findings.into_iter().find(|finding| finding.severe) {
            Some(finding) => Durability::Unsynced(finding.what),
            None => Durability::Synced,
        })
    }

    fn crates(&self) -> &'static [&'static str] {
        &["stream-database", "sqlx", "libsqlite3-sys"]
    }

    async fn connect(&self, latency: Duration) -> Result<Connection> {
        ensure!(latency.is_zero(), "a file has no network whose latency could be raised");
        Ok(Connection::of(migrated("driver").await?.1))
    }

    fn raw_is(&self) -> &'static str {
        "the driver's own statements and tables on one bare sqlx connection, each a transaction by itself"
    }

    async fn raw(&self, queue: &QueueName, _: Duration) -> Result<Option<Box<dyn RawLoop>>> {
        let (url, _) = migrated("raw").await?;
        Ok(Some(Box::new(raw::SqliteLoop::open(&url, queue).await?)))
    }

    /// Two cores, commits that wait for the disk.
    fn raw_floor(&self, load: &Load) -> Option<f64> {
        match load {
            Load::ReserveSettle { batch: 100 } => Some(37_000.0),
            _ => None,
        }
    }

    fn promises(&self) -> Vec<Promise> {
        // Three times what the best of the others works on a file.
        vec![Promise::new("no-op jobs worked, per second", Measure::BestWorked, Bound::AtLeast(26_700.0))]
    }
}
