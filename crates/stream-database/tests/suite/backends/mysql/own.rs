//! Tables of one test alone, on the server that all share or on one of the test's own.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, MySqlPool};
use stream_database::{DatabaseConfig, DatabaseDriver};
use stream_testkit::{service_url, services::PrivateServer};

use super::VARIABLE;

/// Tables of one test alone.
pub(crate) struct Own {
    pub(crate) url: String,
    pub(crate) prefix: String,
}

impl Own {
    pub(crate) fn new(test: &str) -> Option<Self> {
        match service_url(VARIABLE) {
            Ok(url) => Some(Self::at(url)),
            Err(skip) => {
                skip.report(test);
                None
            }
        }
    }

    fn at(url: String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { url, prefix: format!("own{}_{count}_", std::process::id()) }
    }

    /// Tables on a server that only this test has, of the make that the others are on.
    pub(crate) async fn private(test: &str) -> Option<(PrivateServer, Self)> {
        let shared = Self::new(test)?;
        let name = if shared.version().await.contains("MariaDB") { "mariadb" } else { "mysql" };
        match tokio::task::block_in_place(|| PrivateServer::start(name)) {
            Ok(server) => {
                let url = server.variable(VARIABLE).to_owned();
                Some((server, Self::at(url)))
            }
            Err(skip) => {
                skip.report(test);
                None
            }
        }
    }

    pub(crate) fn config(&self) -> DatabaseConfig {
        DatabaseConfig::new().prefix(&self.prefix)
    }

    pub(crate) async fn connect(&self) -> DatabaseDriver {
        DatabaseDriver::connect_with(&self.url, self.config()).await.unwrap()
    }

    pub(crate) async fn migrated(&self) -> DatabaseDriver {
        let driver = self.connect().await;
        driver.migrate().await.unwrap();
        driver
    }

    pub(crate) async fn version(&self) -> String {
        let pool = MySqlPool::connect(&self.url).await.unwrap();
        let version = sqlx::query_scalar("SELECT VERSION()").fetch_one(&pool).await.unwrap();
        pool.close().await;
        version
    }

    pub(crate) fn named(&self, sql: &str) -> String {
        sql.replace("{jobs}", &format!("{}jobs", self.prefix))
    }

    pub(crate) async fn run(&self, sql: &str) {
        let pool = MySqlPool::connect(&self.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(self.named(sql))).execute(&pool).await.unwrap();
        pool.close().await;
    }

    pub(crate) async fn drop_tables(&self) {
        self.run("DROP TABLE {jobs}, {jobs}_dead, {jobs}_limits, {jobs}_versions, {jobs}_done").await;
    }
}
