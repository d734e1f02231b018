//! What a case works with: a driver, a queue of its own, and short ways to the usual steps.

mod asserting;
mod dropping;
mod letters;
mod pushing;
mod settling;
mod taking;
mod values;

use std::{
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use stream_core::{Capabilities, Driver, Error, LeaseSupport, QueueManager, QueueName, Result};

use crate::Backend;

pub use asserting::{assert_lease_lost, assert_ok_or_lease_lost};
pub use dropping::dropped_after;
pub use taking::take_over;
pub use values::{
    bury, ids, job_ids, plain_job, plain_jobs, release_after, release_now, retry_after, retry_now,
};

/// What a case works with: a driver, a queue of its own, and short ways to the usual steps.
///
/// The short ways panic on an error, since a case that meets one has failed.
#[derive(Debug, Clone)]
pub struct Stage {
    backend: Arc<dyn Backend>,
    driver: Arc<dyn Driver>,
    queue: QueueName,
    used: Arc<Mutex<Vec<QueueName>>>,
}

/// How long an event may take that is awaited: "not later" allows 5 seconds.
pub const NOT_LATER: Duration = Duration::from_secs(5);
/// The lease of most cases: real, and short enough to wait for.
pub const LEASE: Duration = Duration::from_millis(400);
/// A lease that outlives the case, so that a slow machine changes nothing.
pub const LONG_LEASE: Duration = Duration::from_secs(60);

impl Stage {
    pub(crate) async fn new(backend: Arc<dyn Backend>) -> Self {
        let driver = backend.connect().await.expect("the backend connects");
        let queue = fresh_name();
        Self { backend, driver, used: Arc::new(Mutex::new(vec![queue.clone()])), queue }
    }

    /// The connection of this case.
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    /// What the connection promises.
    pub fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    /// The queue of this case.
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// The lease of most cases, or the shortest that the connection keeps.
    pub fn lease(&self) -> Duration {
        LEASE.max(self.capabilities().lease.grain())
    }

    /// Whether the store's clock ends leases.
    pub fn has_timed_leases(&self) -> bool {
        matches!(self.capabilities().lease, LeaseSupport::Timed { .. })
    }

    /// Another connection to the same store, working the same queue.
    pub async fn elsewhere(&self) -> Self {
        let driver = self.backend.connect().await.expect("the backend connects again");
        Self { driver, ..self.clone() }
    }

    /// The same connection, working another fresh queue.
    pub fn another_queue(&self) -> Self {
        self.on(fresh_name())
    }

    /// The same connection, working the queue of this name; it is emptied at the end of the case.
    pub fn on(&self, queue: QueueName) -> Self {
        self.used.lock().expect("never poisoned").push(queue.clone());
        Self { queue, ..self.clone() }
    }

    /// The connection, as a program uses it.
    pub fn manager(&self) -> QueueManager {
        QueueManager::new(self.driver.clone())
    }

    /// Empties every queue that the case used.
    pub(crate) async fn clean(&self) {
        let used = self.used.lock().expect("never poisoned").clone();
        for queue in used {
            // A case may have ended the connection or the store: cleaning is a courtesy.
            let _: Result<_, Error> = self.driver.clear(&queue).await;
            if let Some(dead) = self.driver.dead_letters() {
                let _: Result<_, Error> = dead.clear(&queue).await;
            }
        }
    }
}

fn fresh_name() -> QueueName {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // The time keeps the names of two runs with one process id apart.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    QueueName::new(format!("t{:x}-{:x}-{number}", process::id(), now & 0xff_ffff_ffff)).expect("legal")
}
