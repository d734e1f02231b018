//! How a lock is taken.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A std lock: held for a few lines, never across an await.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is under these locks is whole after every line: a panic elsewhere spoils nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
