//! A connection to the store: its lock, whether it was closed, and who is woken.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

use stream_core::{QueueName, Result};
use tokio::time::Instant;

use crate::{
    MemoryConfig, error,
    state::{Change, Listeners, Queue, Store},
};

/// A connection to a store that others may have connections to as well.
pub(crate) struct Connection {
    store: Arc<Mutex<Store>>,
    pub(crate) config: MemoryConfig,
    closed: AtomicBool,
}

impl Connection {
    pub(crate) fn new(config: MemoryConfig) -> Self {
        let store = Arc::new(Mutex::new(Store::new(config.capacity)));
        Self { store, config, closed: AtomicBool::new(false) }
    }

    /// Another connection to the same store.
    pub(crate) fn another(&self) -> Self {
        let (store, config) = (Arc::clone(&self.store), self.config.clone());
        Self { store, config, closed: AtomicBool::new(false) }
    }

    /// Works on the store, unless this connection was closed.
    pub(crate) fn with<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Store, Instant) -> T,
    ) -> Result<T> {
        let mut store = self.lock();
        // Under the lock, so that nothing is done once `close` has answered.
        if self.is_closed() {
            return Err(error::closed(operation));
        }
        // Read under the lock as well: the store's time never steps back between two calls.
        Ok(work(&mut store, Instant::now()))
    }

    /// Changes a queue, given how many more jobs the store can hold, and wakes who waits at it.
    pub(crate) fn change<T>(
        &self,
        operation: &'static str,
        queue: &QueueName,
        change: impl FnOnce(&mut Queue, usize, Instant) -> (T, Change),
    ) -> Result<T> {
        let (answer, listeners) = self.with(operation, |store, now| {
            store.change(queue, |queue, room| {
                let (answer, changed) = change(queue, room, now);
                (answer, (changed == Change::Wakes).then(|| queue.listeners.clone()))
            })
        })?;
        if let Some(listeners) = listeners {
            listeners.wake();
        }
        Ok(answer)
    }

    /// Changes a queue for each item of a batch, in one step, and wakes who waits at it.
    pub(crate) fn change_each<I, T>(
        &self,
        operation: &'static str,
        queue: &QueueName,
        items: &[I],
        mut one: impl FnMut(&mut Queue, usize, &I, Instant) -> Result<(T, Change)>,
    ) -> Vec<Result<T>> {
        let all = self.change(operation, queue, |queue, room, now| {
            let before = queue.len();
            let mut changed = Change::Quiet;
            let mut one = |item| {
                let room = (room + before).saturating_sub(queue.len());
                let (answer, change) = one(queue, room, item, now)?;
                changed = changed.max(change);
                Ok(answer)
            };
            (items.iter().map(&mut one).collect(), changed)
        });
        all.unwrap_or_else(|error| items.iter().map(|_| Err(error.clone())).collect())
    }

    /// Asks a queue; one that was never used is empty.
    pub(crate) fn look<T: Default>(
        &self,
        operation: &'static str,
        queue: &QueueName,
        ask: impl FnOnce(&Queue, Instant) -> T,
    ) -> Result<T> {
        self.with(operation, |store, now| store.find(queue).map_or_else(T::default, |queue| ask(queue, now)))
    }

    pub(crate) fn close(&self) {
        let listeners = {
            let store = self.lock();
            self.closed.store(true, Ordering::Relaxed);
            store.listeners()
        };
        // Who waits on this connection is to learn of it; the others look and wait on.
        listeners.iter().for_each(Listeners::wake);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// A std lock, because it is held for one batch and never across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("nothing panics under the lock")
    }
}
