//! SQLite: a file for each case, which its connections and child processes share.

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{Connection, SqliteConnection};
use stream_core::{Driver, JobId, QueueName, Result};
use stream_database::{DatabaseConfig, DatabaseDriver};
use stream_testkit::{Backend, Skip, async_trait, crash::CrashBackend};

/// Where child processes find the file.
const VARIABLE: &str = "STREAM_TEST_SQLITE_FILE";

/// A file of one test alone, removed with its value.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) directory: PathBuf,
}

impl File {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.join(format!("sqlite-{}-{count}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("jobs.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    pub(crate) async fn connect(&self, config: DatabaseConfig) -> DatabaseDriver {
        DatabaseDriver::connect_with(&self.url(), config).await.unwrap()
    }

    pub(crate) async fn migrated(&self) -> DatabaseDriver {
        let driver = self.connect(DatabaseConfig::new()).await;
        driver.migrate().await.unwrap();
        driver
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // What cannot be removed is removed with the target folder.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A file with the tables in it.
pub(crate) async fn set_up() -> Result<File, Skip> {
    let file = File::new();
    file.migrated().await.close().await.unwrap();
    Ok(file)
}

#[async_trait]
impl Backend for File {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(DatabaseDriver::connect(&self.url()).await?))
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        // As a program that knows nothing but the table: an id, a queue, a payload.
        let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
        let insert = sqlx::query("INSERT INTO jobs (id, queue, payload) VALUES ($1, $2, $3)");
        let insert = insert.bind(JobId::new().as_bytes().to_vec()).bind(queue.as_str().to_owned());
        insert.bind(bytes).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        Ok(())
    }
}

#[async_trait]
impl CrashBackend for File {
    fn child_env(&self) -> Vec<(String, String)> {
        vec![(VARIABLE.into(), self.url())]
    }

    async fn connect_from_env() -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(DatabaseDriver::connect(&env::var(VARIABLE).unwrap()).await?))
    }
}
