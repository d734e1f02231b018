//! PostgreSQL: one server for all tests, each case with its own queues in the same tables.

pub(crate) mod own;

use std::{
    env,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use sqlx::{AssertSqlSafe, PgPool, types::Uuid};
use stream_core::{Driver, JobId, QueueName, Result};
use stream_database::{DatabaseConfig, DatabaseDriver};
use stream_testkit::{Backend, Skip, async_trait, crash::CrashBackend, service_url};

const VARIABLE: &str = "STREAM_TEST_POSTGRES_URL";

#[derive(Debug)]
pub(crate) struct PostgresBackend {
    url: String,
    prefix: String,
    /// For what a program does that knows nothing but the tables.
    by_hand: PgPool,
}

/// The server with the tables in it.
pub(crate) async fn set_up() -> Result<PostgresBackend, Skip> {
    let url = service_url(VARIABLE)?;
    let backend =
        PostgresBackend { prefix: prefix(&url).await, by_hand: PgPool::connect_lazy(&url).unwrap(), url };
    let driver = connect(&backend.url, &backend.prefix).await.unwrap();
    driver.migrate().await.unwrap();
    driver.close().await.unwrap();
    Ok(backend)
}

/// Tables that were made by other migrations than those of this program are not its own.
async fn prefix(url: &str) -> String {
    let mut hash = DefaultHasher::new();
    DatabaseDriver::connect(url).await.unwrap().migrations().hash(&mut hash);
    format!("t{:08x}_", hash.finish() as u32)
}

async fn connect(url: &str, prefix: &str) -> Result<DatabaseDriver> {
    DatabaseDriver::connect_with(url, DatabaseConfig::new().prefix(prefix)).await
}

#[async_trait]
impl Backend for PostgresBackend {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(connect(&self.url, &self.prefix).await?))
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        // As a program that knows nothing but the table: an id, a queue, a payload.
        let id = Uuid::from_bytes(*JobId::new().as_bytes());
        let insert = format!("INSERT INTO {}jobs (id, queue, payload) VALUES ($1, $2, $3)", self.prefix);
        let insert = sqlx::query(AssertSqlSafe(insert));
        insert.bind(id).bind(queue.as_str()).bind(bytes).execute(&self.by_hand).await.unwrap();
        Ok(())
    }
}

#[async_trait]
impl CrashBackend for PostgresBackend {
    fn child_env(&self) -> Vec<(String, String)> {
        vec![(VARIABLE.into(), self.url.clone())]
    }

    async fn connect_from_env() -> Result<Arc<dyn Driver>> {
        let url = env::var(VARIABLE).unwrap();
        Ok(Arc::new(connect(&url, &prefix(&url).await).await?))
    }
}
