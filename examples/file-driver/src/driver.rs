//! The driver: each verb handed to the queue's folder, on a thread that may wait for the disk.

use std::{fmt, fs, io, sync::Arc, time::Duration};

use stream_core::{
    Capabilities, Cleared, DeadLetterStore, Delivery, Depth, Driver, Finding, NewJob, Pushed, QueueName,
    Result, Settlement, Subscription, Support, async_trait,
};

use crate::{
    Durability, FileConfig,
    dead_letters::FileDeadLetters,
    entry::Ticket,
    error,
    folder::Folder,
    queue::{self, Fresh},
    store::Store,
    subscription::FileSubscription,
};

/// A connection to jobs in a folder. Any number of processes of one machine may share the folder.
pub struct FileDriver {
    store: Arc<Store>,
    dead_letters: FileDeadLetters,
}

impl FileDriver {
    /// Touches no file: a worker may start before the disk is there.
    pub fn new(config: FileConfig) -> Self {
        let store = Arc::new(Store::new(config));
        Self { dead_letters: FileDeadLetters(store.clone()), store }
    }

    /// Stores the bytes of another producer, ready at once, whether they are an envelope or not.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be written, `OutcomeUnknown` if the disk did not confirm it.
    pub async fn push_bytes(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        let job = Fresh::of_bytes(bytes);
        let push = |_: &Store, folder: &mut Folder| {
            vec![queue::push(folder, job).map_err(|error| error::unavailable("push", error))]
        };
        self.store.each("push", queue, 1, push).await.remove(0)
    }
}

impl fmt::Debug for FileDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileDriver").field("config", &self.store.config).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for FileDriver {
    fn name(&self) -> &'static str {
        error::DRIVER
    }

    fn capabilities(&self) -> Capabilities {
        let mut promised = Capabilities::full(self.store.config.envelope_bytes_max);
        // Each would be a file or two more; nothing here needs them.
        promised.rate_limit = Support::No;
        promised.groups = Support::No;
        promised.unique = Support::No;
        // There is nothing to route to.
        promised.routing = Support::No;
        // The names are read once for a batch, but each job is written by itself.
        promised.batch = 100;
        promised
    }

    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        let fresh = jobs.iter().map(|job| (job.envelope.id, Fresh::of(job))).collect();
        self.store.each("push", queue, jobs.len(), |_, folder| queue::push_all(folder, fresh)).await
    }

    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        if self.store.is_closed() {
            return Err(error::closed("subscribe"));
        }
        if queues.is_empty() {
            return Err(error::no_queues());
        }
        Ok(Box::new(FileSubscription { store: self.store.clone(), queues: queues.to_vec() }))
    }

    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        let ticket = |it: &Settlement<'_>| (Ticket::read(&it.delivery.receipt), it.outcome.clone());
        let ends: Vec<_> = settlements.iter().map(ticket).collect();
        let settle = move |store: &Store, folder: &mut Folder| {
            let settle = |(ticket, outcome)| queue::settle(folder, &store.ended, ticket, &outcome);
            ends.into_iter().map(settle).collect()
        };
        self.store.each("settle", queue, settlements.len(), settle).await
    }

    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        let tickets: Vec<_> = deliveries.iter().map(|delivery| Ticket::read(&delivery.receipt)).collect();
        let extend = move |store: &Store, folder: &mut Folder| {
            let extend = |ticket| queue::extend(folder, &store.ended, ticket, lease);
            tickets.into_iter().map(extend).collect()
        };
        self.store.each("extend", queue, deliveries.len(), extend).await
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        let ticket = Ticket::read(&delivery.receipt);
        !self.store.is_closed() && ticket.is_some_and(|ticket| !self.store.ended.has(ticket))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        self.store.look("depth", queue, |folder| Ok(queue::depth(folder))).await
    }

    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        let clear =
            |folder: &mut Folder| queue::clear(folder).map_err(|error| error::unavailable("clear", error));
        self.store.change("clear", queue, clear).await.map(|went| Cleared::all(Some(went)))
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.store.blocking("check", |store| Ok(judge(&store.config).err().into_iter().collect())).await
    }

    async fn close(&self) -> Result<()> {
        self.store.close();
        Ok(())
    }

    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        Some(&self.dead_letters)
    }
}

/// Tries what every verb does: to write a file in the folder.
fn judge(config: &FileConfig) -> Result<(), Finding> {
    let probe = config.folder.join("probe");
    let try_it = || -> io::Result<()> {
        fs::create_dir_all(&config.folder)?;
        fs::write(&probe, b"")?;
        fs::remove_file(&probe)
    };
    try_it().map_err(|error| {
        let remedy = "let this program make folders and files there, and give the disk room";
        Finding::severe(format!("no file can be written in the folder of jobs: {error}"), remedy)
    })?;
    if config.durability == Durability::System {
        let remedy = "set `Durability::Disk`, or accept it";
        return Err(Finding::severe("a power cut may take jobs that were acknowledged", remedy));
    }
    Ok(())
}
