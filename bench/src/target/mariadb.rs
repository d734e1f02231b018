//! The driver on MariaDB, beside its own statements on a bare connection of sqlx.

mod raw;

use std::{env, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sqlx::{Connection as _, MySqlConnection, Row as _};
use stream_core::{QueueName, async_trait};
use stream_database::{DatabaseConfig, DatabaseDriver};

use super::{Connection, Durability, RawLoop, Target};
use crate::{
    loads::Load,
    promises::{Bound, Measure, Promise},
};

const VARIABLE: &str = "STREAM_TEST_MYSQL_URL";
/// What the names of the tables begin with, the raw loop's among them.
const PREFIX: &str = "bench_";

/// Jobs on the server at `STREAM_TEST_MYSQL_URL`.
#[derive(Debug)]
pub(crate) struct MariaDb;

/// What a reader has to know, and the server tells.
const SETTINGS: [&str; 6] = [
    "version",
    "innodb_flush_log_at_trx_commit",
    "log_bin",
    "sync_binlog",
    "innodb_flush_method",
    "innodb_buffer_pool_size",
];

fn url() -> Result<String> {
    env::var(VARIABLE)
        .with_context(|| format!("set {VARIABLE}: `cargo xtask services env mariadb` prints it"))
}

async fn connect() -> Result<MySqlConnection> {
    MySqlConnection::connect(&url()?).await.context("the server does not answer")
}

async fn setting(connection: &mut MySqlConnection, name: &str) -> Result<String> {
    let row = sqlx::query("SHOW GLOBAL VARIABLES LIKE ?").bind(name).fetch_one(connection).await?;
    Ok(row.try_get(1)?)
}

#[async_trait]
impl Target for MariaDb {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    async fn settings(&self) -> Result<Vec<(String, String)>> {
        let mut connection = connect().await?;
        let mut settings = Vec::new();
        for name in SETTINGS {
            settings.push((name.to_owned(), setting(&mut connection, name).await?));
        }
        settings.push(("isolation".to_owned(), "READ COMMITTED, on both sides".to_owned()));
        Ok(settings)
    }

    async fn durability(&self) -> Result<Durability> {
        let mut connection = connect().await?;
        if setting(&mut connection, "innodb_flush_log_at_trx_commit").await? != "1" {
            return Ok(Durability::Unsynced("innodb_flush_log_at_trx_commit is not 1".to_owned()));
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
        Ok(Some(Box::new(raw::MariaDbLoop::open(url()?, queue).await?)))
    }

    /// Two cores, MariaDB 10.11, durable commits.
    fn raw_floor(&self, load: &Load) -> Option<f64> {
        match load {
            Load::ReserveSettle { batch: 100 } => Some(10_000.0),
            _ => None,
        }
    }

    fn promises(&self) -> Vec<Promise> {
        vec![Promise::new(
            "reserve + settle in batches, per second",
            Measure::BestWorked,
            Bound::AtLeast(10_000.0),
        )]
    }
}
