//! Tables of one test alone, on the server that all share.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, PgPool};
use stream_database::{DatabaseConfig, DatabaseDriver};
use stream_testkit::service_url;

use super::VARIABLE;

/// Tables of one test alone.
pub(crate) struct Own {
    pub(crate) url: String,
    pub(crate) prefix: String,
}

impl Own {
    pub(crate) fn new(test: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        match service_url(VARIABLE) {
            Ok(url) => {
                let count = COUNT.fetch_add(1, Ordering::Relaxed);
                Some(Self { url, prefix: format!("own{}_{count}_", std::process::id()) })
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

    pub(crate) async fn run(&self, sql: &str) {
        let pool = PgPool::connect(&self.url).await.unwrap();
        let sql = sql.replace("{jobs}", &format!("{}jobs", self.prefix));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        pool.close().await;
    }

    pub(crate) async fn drop_tables(&self) {
        self.run("DROP TABLE {jobs}, {jobs}_dead, {jobs}_limits, {jobs}_versions").await;
        // What is theirs alone goes with them.
        let functions = "DO $$ DECLARE one text; BEGIN FOR one IN SELECT oid::regprocedure::text FROM pg_proc \
                         WHERE starts_with(proname, '{jobs}_') LOOP EXECUTE 'DROP FUNCTION ' || one; END LOOP; END $$";
        self.run(functions).await;
    }
}
