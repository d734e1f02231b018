//! Who is to be woken when a queue changes.

use std::sync::Arc;

use tokio::sync::Notify;

/// The subscriptions at one queue.
///
/// Copied on write: a change of the queue takes a handle and wakes them after the lock was given
/// back, because a waker is foreign code.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listeners(Arc<Vec<Arc<Notify>>>);

impl Listeners {
    pub(crate) fn add(&mut self, listener: &Arc<Notify>) {
        Arc::make_mut(&mut self.0).push(Arc::clone(listener));
    }

    pub(crate) fn remove(&mut self, listener: &Arc<Notify>) {
        Arc::make_mut(&mut self.0).retain(|other| !Arc::ptr_eq(other, listener));
    }

    pub(crate) fn wake(&self) {
        self.0.iter().for_each(|listener| listener.notify_waiters());
    }
}
