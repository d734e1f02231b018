//! A connection: its settings, whether it was closed, and the thread on which it touches files.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use stream_core::{QueueName, Result};
use tokio::task::spawn_blocking;

use crate::{FileConfig, ended::Ended, error, folder::Folder};

/// What the parts of one connection share.
pub(crate) struct Store {
    pub(crate) config: FileConfig,
    pub(crate) ended: Ended,
    closed: AtomicBool,
}

impl Store {
    pub(crate) fn new(config: FileConfig) -> Self {
        Self { config, ended: Ended::default(), closed: AtomicBool::new(false) }
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Does something on a thread that may wait for the disk.
    ///
    /// If the caller goes away it is done all the same: never half.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.is_closed() {
            return Err(error::closed(operation));
        }
        let store = self.clone();
        let done = spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|gone| Err(error::unfinished(operation, gone)))
    }

    /// Changes a queue for each item of a batch, under its lock, and answers once the disk has it all.
    pub(crate) async fn each<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        queue: &QueueName,
        items: usize,
        verb: impl FnOnce(&Self, &mut Folder) -> Vec<Result<T>> + Send + 'static,
    ) -> Vec<Result<T>> {
        let queue = queue.clone();
        let answers = self.blocking(operation, move |store| {
            let made = Folder::make(&store.config, &queue);
            let mut folder = made.map_err(|error| error::unavailable(operation, error))?;
            let answers = verb(store, &mut folder);
            folder.confirm().map_err(|error| error::unknown(operation, error))?;
            Ok(answers)
        });
        answers.await.unwrap_or_else(|error| (0..items).map(|_| Err(error.clone())).collect())
    }

    /// Changes a queue under its lock, if there is one, and answers once the disk has it.
    pub(crate) async fn change<T: Send + Default + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        queue: &QueueName,
        verb: impl FnOnce(&mut Folder) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let queue = queue.clone();
        self.blocking(operation, move |store| {
            let found = Folder::find(&store.config, &queue);
            let found = found.map_err(|error| error::unavailable(operation, error))?;
            let Some(mut folder) = found else { return Ok(T::default()) };
            let answer = verb(&mut folder)?;
            folder.confirm().map_err(|error| error::unknown(operation, error))?;
            Ok(answer)
        })
        .await
    }

    /// Looks at a queue under its lock.
    pub(crate) async fn look<T: Send + Default + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        queue: &QueueName,
        ask: impl FnOnce(&Folder) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let queue = queue.clone();
        self.blocking(operation, move |store| {
            let found = Folder::find(&store.config, &queue);
            let found = found.map_err(|error| error::unavailable(operation, error))?;
            found.map_or_else(|| Ok(T::default()), |folder| ask(&folder))
        })
        .await
    }
}
