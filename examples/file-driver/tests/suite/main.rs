//! The file driver against the whole suite, with its processes killed, and what is its own.

mod own;

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use stream_core::{Driver, QueueName, Result};
use stream_file_driver::{FileConfig, FileDriver};
use stream_testkit::{Backend, Skip, async_trait};

/// Jobs in a folder of its own, removed at the end of the test.
#[derive(Debug)]
struct FileStore {
    folder: PathBuf,
}

async fn file_store() -> Result<FileStore, Skip> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Ok(FileStore { folder: env::temp_dir().join(format!("stream-files-{}-{number}", process::id())) })
}

impl FileStore {
    fn open(&self) -> FileDriver {
        FileDriver::new(FileConfig::new(&self.folder))
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[async_trait]
impl Backend for FileStore {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(self.open()))
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        self.open().push_bytes(queue, bytes).await
    }
}

mod conformance {
    stream_testkit::conformance!(super::file_store);
}

#[cfg(unix)]
mod crash {
    use super::*;

    /// Where a child process finds the folder of its test.
    const FOLDER: &str = "STREAM_TEST_FILE_FOLDER";

    #[async_trait]
    impl stream_testkit::crash::CrashBackend for FileStore {
        fn child_env(&self) -> Vec<(String, String)> {
            vec![(FOLDER.to_owned(), self.folder.to_str().expect("UTF-8").to_owned())]
        }

        async fn connect_from_env() -> Result<Arc<dyn Driver>> {
            let folder = env::var(FOLDER).expect("the test says where the folder is");
            Ok(Arc::new(FileDriver::new(FileConfig::new(folder))))
        }
    }

    stream_testkit::crash!(super::file_store);
}
