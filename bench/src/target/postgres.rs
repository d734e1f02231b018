//! The driver on PostgreSQL, beside its own statements on a bare connection of sqlx.

mod raw;

use std::{env, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sqlx::{Connection as _, PgConnection, Row as _};
use stream_core::{QueueName, async_trait};
use stream_database::{DatabaseConfig, DatabaseDriver};

use super::{Connection, Durability, RawLoop, Target};
use crate::{
    loads::Load,
    promises::{Bound, Measure, Promise},
};

const VARIABLE: &str = "STREAM_TEST_POSTGRES_URL";
/// What the names of the tables begin with, the raw loop's among them.
const PREFIX: &str = "bench_";

/// Jobs on the server at `STREAM_TEST_POSTGRES_URL`.
#[derive(Debug)]
pub(crate) struct Postgres;

/// What a reader has to know, and `SHOW` tells.
const SETTINGS: [&str; 6] =
    ["fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "autovacuum"];

fn url() -> Result<String> {
    env::var(VARIABLE)
        .with_context(|| format!("set {VARIABLE}: `cargo xtask services env postgres` prints it"))
}

async fn connect() -> Result<PgConnection> {
    PgConnection::connect(&url()?).await.context("the server does not answer")
}

async fn setting(connection: &mut PgConnection, name: &str) -> Result<String> {
    let row = sqlx::query("SELECT current_setting($1)").bind(name).fetch_one(connection).await?;
    Ok(row.try_get(0)?)
}

#[async_trait]
impl Target for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn settings(&self) -> Result<Vec<(String, String)>> {
        let mut connection = connect().await?;
        let mut settings = Vec::new();
        for name in SETTINGS.into_iter().chain(["server_version"]) {
            settings.push((name.to_owned(), setting(&mut connection, name).await?));
        }
        settings.push(("reserve and extend".to_owned(), "synchronous_commit off, on both sides".to_owned()));
        Ok(settings)
    }

    async fn durability(&self) -> Result<Durability> {
        let mut connection = connect().await?;
        for name in ["fsync", "synchronous_commit"] {
            if setting(&mut connection, name).await? == "off" {
                return Ok(Durability::Unsynced(format!("{name} is off")));
            }
        }
        Ok(Durability::Synced)
    }

    fn crates(&self) -> &'static [&'static str] {
        &["stream-database", "sqlx"]
    }

    async fn connect(&self, latency: Duration) -> Result<Connection> {
        ensure!(latency.is_zero(), "this target has no proxy yet that could hold up its traffic");
        let config = DatabaseConfig::new().prefix(PREFIX);
        let driver = DatabaseDriver::connect_with(&url()?, config).await?;
        driver.migrate().await?;
        Ok(Connection::of(driver))
    }

    fn raw_is(&self) -> &'static str {
        "the driver's own statements and tables on one bare sqlx connection for each task"
    }

    async fn raw(&self, queue: &QueueName, _: Duration) -> Result<Option<Box<dyn RawLoop>>> {
        Ok(Some(Box::new(raw::PostgresLoop::open(url()?, queue).await?)))
    }

    /// Two cores, PostgreSQL 15, durable commits.
    fn raw_floor(&self, load: &Load) -> Option<f64> {
        match load {
            Load::DriverPush { batch: 1_000 } => Some(160_000.0),
            Load::DriverPush { batch: 100 } => Some(84_000.0),
            Load::ReserveSettle { batch: 100 } => Some(21_000.0),
            _ => None,
        }
    }

    fn promises(&self) -> Vec<Promise> {
        vec![
            Promise::new("jobs pushed in batches, per second", Measure::BestPush, Bound::AtLeast(105_000.0)),
            Promise::new("no-op jobs worked, per second", Measure::BestWorked, Bound::AtLeast(45_000.0)),
        ]
    }
}
