//! MySQL or MariaDB: one server for all tests, each case with its own queues in the same tables.

pub(crate) mod crowd;
pub(crate) mod own;

use std::{env, sync::Arc};

use sqlx::MySqlPool;
use stream_core::{Driver, JobId, QueueName, Result};
use stream_database::DatabaseDriver;
use stream_testkit::{Backend, Skip, async_trait, crash::CrashBackend, service_url};

const VARIABLE: &str = "STREAM_TEST_MYSQL_URL";

#[derive(Debug)]
pub(crate) struct MySqlBackend {
    url: String,
}

/// The server with the tables in it.
pub(crate) async fn set_up() -> Result<MySqlBackend, Skip> {
    let url = service_url(VARIABLE)?;
    let driver = DatabaseDriver::connect(&url).await.unwrap();
    driver.migrate().await.unwrap();
    driver.close().await.unwrap();
    Ok(MySqlBackend { url })
}

#[async_trait]
impl Backend for MySqlBackend {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(DatabaseDriver::connect(&self.url).await?))
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        // As a program that knows nothing but the table: an id, a queue, a payload.
        let pool = MySqlPool::connect(&self.url).await.unwrap();
        let insert = sqlx::query("INSERT INTO jobs (id, queue, payload) VALUES (?, ?, ?)");
        let insert = insert.bind(&JobId::new().as_bytes()[..]).bind(queue.as_str()).bind(bytes);
        insert.execute(&pool).await.unwrap();
        pool.close().await;
        Ok(())
    }
}

#[async_trait]
impl CrashBackend for MySqlBackend {
    fn child_env(&self) -> Vec<(String, String)> {
        vec![(VARIABLE.into(), self.url.clone())]
    }

    async fn connect_from_env() -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(DatabaseDriver::connect(&env::var(VARIABLE).unwrap()).await?))
    }
}
