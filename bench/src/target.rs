//! What can be measured: a driver on its store, and the raw loop beside it. One module for each.

mod mariadb;
mod memory;
mod postgres;
mod redis;
mod sqlite;

use std::{
    ops::Range,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use stream_core::{Driver, QueueManager, QueueName, async_trait};

use crate::{job::Kind, loads::Load, promises::Promise};

/// A driver on its store; a new driver is a module here and a line in [`all`].
#[async_trait]
pub(crate) trait Target: Send + Sync {
    /// The driver's own name.
    fn name(&self) -> &'static str;

    /// Versions of server and client, and the settings that a reader has to know: persistence first.
    async fn settings(&self) -> Result<Vec<(String, String)>>;

    /// Whether an acknowledged push outlives a crash of the server, as the server itself says.
    async fn durability(&self) -> Result<Durability>;

    /// The crates of the client, whose locked versions are printed.
    fn crates(&self) -> &'static [&'static str];

    /// Connects as a user would, with durable settings.
    ///
    /// Traffic is held up for `latency` on its way, so that round trips can be seen. A store without a
    /// network refuses a latency.
    async fn connect(&self, latency: Duration) -> Result<Connection>;

    /// What the raw loop does, in a line for the report.
    fn raw_is(&self) -> &'static str;

    /// The bare client on a queue of its own, as good as an expert would write it, over the same network.
    async fn raw(&self, queue: &QueueName, latency: Duration) -> Result<Option<Box<dyn RawLoop>>>;

    /// The ratio to the raw loop that a driver has to reach, where both do the same work.
    fn ratio_floor(&self, load: &Load) -> Option<f64> {
        load.ratio_floor()
    }

    /// What the raw loop has reached elsewhere, in jobs per second: below half of it, it does not count.
    fn raw_floor(&self, load: &Load) -> Option<f64> {
        let _ = load;
        None
    }

    /// What is promised of this driver, beside what is promised of all.
    fn promises(&self) -> Vec<Promise>;

    /// Where the worker lives whose pick-up latency is measured.
    fn idle_worker(&self) -> IdleWorker {
        IdleWorker::OtherProcess
    }

    /// How many requests the server has answered so far, where it says so.
    async fn requests(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Removes what the store keeps of a queue that is empty.
    async fn forget(&self, queue: &QueueName) -> Result<()> {
        let _ = queue;
        Ok(())
    }

    /// A queue that nobody has used: each round has its own.
    fn fresh_queue(&self) -> QueueName {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        QueueName::new(format!("bench-{}-{number}", process::id())).expect("digits and hyphens are legal")
    }
}

/// What an acknowledged push is worth on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Durability {
    /// There is no server whose crash it could outlive.
    InProcess,
    /// It is on the disk.
    Synced,
    /// It may be lost, for this reason.
    Unsynced(String),
}

impl Durability {
    /// Refuses to measure a server that does not wait for its disk, unless told to.
    pub(crate) fn check(&self, unsynced: Unsynced) -> Result<()> {
        match (self, unsynced) {
            (Self::Unsynced(reason), Unsynced::Refused) => {
                bail!(
                    "{reason}: its figures would be those of memory; turn syncing on, or say --allow-unsynced"
                )
            }
            _ => Ok(()),
        }
    }
}

/// Whether a server that does not wait for its disk is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsynced {
    Refused,
    Allowed,
}

/// A connection, as a driver and as its users see it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) manager: QueueManager,
}

impl Connection {
    pub(crate) fn of(driver: impl Driver + Clone) -> Self {
        Self { driver: Arc::new(driver.clone()), manager: QueueManager::new(driver) }
    }
}

/// Where an idle worker lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleWorker {
    /// Here: nobody else reaches the store.
    SameProcess,
    /// In a process of its own: this program, started as `pickup-worker`.
    OtherProcess,
}

/// How a loop is cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) tasks: usize,
    pub(crate) batch: usize,
}

/// The store without this library; whole loops, so that no call of this trait stands in a hot path.
#[async_trait]
pub(crate) trait RawLoop: Send + Sync {
    /// Makes and pushes the jobs with these numbers, `shape.batch` in one step, each confirmed as the
    /// driver confirms it.
    async fn push(&self, numbers: Range<u64>, shape: Shape) -> Result<()>;

    /// Pushes one job.
    async fn push_one(&self, payload: Vec<u8>) -> Result<()>;

    /// Takes, runs and ends jobs until none is left; answers their numbers.
    async fn work(&self, shape: Shape, kind: Kind) -> Result<Vec<u64>>;

    /// Takes, one at a time, and ends this many jobs; answers their numbers.
    async fn take(&self, jobs: usize) -> Result<Vec<u64>>;

    /// Waits for a job as an idle worker does, takes and ends it; answers its payload.
    async fn next(&self) -> Result<Vec<u8>>;

    /// How many jobs are left.
    async fn left(&self) -> Result<u64>;
}

/// Every target that there is.
pub(crate) fn all() -> Vec<Arc<dyn Target>> {
    vec![
        Arc::new(memory::Memory),
        Arc::new(postgres::Postgres),
        Arc::new(mariadb::MariaDb),
        Arc::new(redis::Redis),
        Arc::new(sqlite::Sqlite),
    ]
}

/// The targets with these names, or all.
pub(crate) fn named(names: &[String]) -> Result<Vec<Arc<dyn Target>>> {
    let known: Vec<_> = all().iter().map(|target| target.name()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("no driver {unknown:?}; there are: {}", known.join(", "));
    }
    let is_wanted = |target: &Arc<dyn Target>| names.is_empty() || names.iter().any(|n| n == target.name());
    Ok(all().into_iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_wait_for_its_disk_is_refused_unless_told() {
        let unsynced = Durability::Unsynced("fsync is off".to_owned());
        let error = unsynced.check(Unsynced::Refused).unwrap_err().to_string();
        assert!(error.contains("fsync is off") && error.contains("--allow-unsynced"), "{error}");
        assert!(unsynced.check(Unsynced::Allowed).is_ok());
        assert!(Durability::Synced.check(Unsynced::Refused).is_ok());
        assert!(Durability::InProcess.check(Unsynced::Refused).is_ok());
    }
}
