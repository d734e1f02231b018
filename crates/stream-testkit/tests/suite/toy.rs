//! A small durable store: one file of changes that several processes share.

mod driver;
mod log;
mod state;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use stream_core::{Driver, Envelope, NewJob, QueueName, Result};
use stream_testkit::{Backend, Skip, async_trait};

pub(crate) use driver::Toy;

/// A store in a folder of its own, removed at the end of the test.
#[derive(Debug)]
pub(crate) struct ToyStore {
    folder: PathBuf,
}

/// Where a child process finds the store of its test.
#[cfg(unix)]
const STORE_VARIABLE: &str = "STREAM_TEST_TOY_STORE";

/// A fresh store.
pub(crate) async fn toy_store() -> Result<ToyStore, Skip> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("stream-toy-{}-{number}", process::id()));
    fs::create_dir_all(&folder).expect("the folder is made");
    Ok(ToyStore { folder })
}

impl ToyStore {
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("store")
    }
}

impl Drop for ToyStore {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[async_trait]
impl Backend for ToyStore {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(Toy::open(&self.file())?))
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        Toy::open(&self.file())?.inject(queue, bytes)
    }
}

#[cfg(unix)]
#[async_trait]
impl stream_testkit::crash::CrashBackend for ToyStore {
    fn child_env(&self) -> Vec<(String, String)> {
        vec![(STORE_VARIABLE.to_owned(), self.file().to_str().expect("UTF-8").to_owned())]
    }

    async fn connect_from_env() -> Result<Arc<dyn Driver>> {
        let file = env::var(STORE_VARIABLE).expect("the test says where the store is");
        Ok(Arc::new(Toy::open(Path::new(&file))?))
    }
}

/// Whatever was cut off in the middle of an append is dropped, and nothing before or after it.
#[tokio::test]
async fn torn_record_is_dropped_and_later_ones_are_kept() {
    let store = toy_store().await.expect("a store");
    let queue = QueueName::new("torn").expect("legal");
    let job = || NewJob::new(Envelope::new("job", stream_core::Codec::Raw, vec![7; 20]));
    let writer = store.connect().await.expect("connected");
    writer.push(&queue, &[job()]).await.remove(0).expect("stored");
    let whole = fs::read(store.file()).expect("the file is read");
    for torn in 1..whole.len() {
        let before = writer.depth(&queue).await.expect("depth").ready;
        let mut bytes = fs::read(store.file()).expect("the file is read");
        bytes.extend(&whole[..torn]);
        fs::write(store.file(), bytes).expect("the file is written");
        writer.push(&queue, &[job()]).await.remove(0).expect("stored");
        let reader = store.connect().await.expect("connected");
        assert_eq!(reader.depth(&queue).await.expect("depth").ready, before + 1, "torn after {torn} bytes");
    }
}

/// A record whose bytes were spoilt is not taken for a job.
#[tokio::test]
async fn spoilt_record_is_dropped() {
    let store = toy_store().await.expect("a store");
    let queue = QueueName::new("spoilt").expect("legal");
    let job = NewJob::new(Envelope::new("job", stream_core::Codec::Raw, vec![7; 20]));
    store.connect().await.expect("connected").push(&queue, &[job]).await.remove(0).expect("stored");
    let mut bytes = fs::read(store.file()).expect("the file is read");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(store.file(), bytes).expect("the file is written");
    let reader = store.connect().await.expect("connected");
    assert_eq!(reader.depth(&queue).await.expect("depth").ready, 0);
}
