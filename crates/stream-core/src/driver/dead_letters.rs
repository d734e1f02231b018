//! The jobs of one queue that were given up on.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::*;

/// The jobs of one queue that were given up on.
///
/// For each method see [`DeadLetterStore`].
///
/// # Errors
/// `Config` for a bad name; `Unsupported` where they cannot be read; the driver's own.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    place: Result<(Arc<dyn Driver>, QueueName)>,
}

impl DeadLetters {
    pub(crate) fn new(driver: Result<Arc<dyn Driver>>, queue: Result<QueueName>) -> Self {
        Self { place: driver.and_then(|driver| Ok((driver, queue?))) }
    }

    /// Up to `limit` letters, the oldest first, from behind `after`.
    pub async fn list(&self, after: Option<&DeadLetterId>, limit: usize) -> Result<Vec<DeadLetter>> {
        let (store, queue) = self.store()?;
        store.list(queue, after, limit).await
    }

    /// Makes one ready again; false if it stays.
    pub async fn retry(&self, id: &DeadLetterId) -> Result<bool> {
        let (store, queue) = self.store()?;
        store.retry(queue, id).await
    }

    /// Retries the letters there are now; says how many went.
    pub async fn retry_all(&self) -> Result<u64> {
        let (store, queue) = self.store()?;
        store.retry_all(queue).await
    }

    /// Removes one for good; false if there is no such letter.
    pub async fn remove(&self, id: &DeadLetterId) -> Result<bool> {
        let (store, queue) = self.store()?;
        store.remove(queue, id).await
    }

    /// Removes all for good; says how many went.
    pub async fn clear(&self) -> Result<u64> {
        let (store, queue) = self.store()?;
        store.clear(queue).await
    }

    /// How many there are.
    pub async fn count(&self) -> Result<u64> {
        let (store, queue) = self.store()?;
        store.count(queue).await
    }

    fn store(&self) -> Result<(&dyn DeadLetterStore, &QueueName)> {
        let (driver, queue) = self.place.as_ref().map_err(Error::clone)?;
        let none = || {
            let kind = ErrorKind::Unsupported { feature: "dead letters", limit: "none".into() };
            Error::new(kind, driver.name(), "dead letters")
        };
        Ok((driver.dead_letters().ok_or_else(none)?, queue))
    }
}

/// A job that was given up on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The store's name for it.
    pub id: DeadLetterId,
    /// The job, or bytes that are none.
    pub envelope: Result<Envelope, Undecodable>,
    /// The last attempt.
    pub attempt: u32,
    /// How often it was lost.
    pub lost: u32,
    /// Why it was buried.
    pub error: String,
}

impl DeadLetter {
    /// Of a first attempt.
    pub fn new(id: DeadLetterId, envelope: Result<Envelope, Undecodable>, error: impl Into<String>) -> Self {
        Self { id, envelope, attempt: 1, lost: 0, error: error.into() }
    }
}

/// The store's name for a dead letter, even without a job id; opaque.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeadLetterId(Vec<u8>);

impl DeadLetterId {
    /// Wraps the bytes of a driver.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the driver that made them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for DeadLetterId {
    /// Hexadecimal, for command lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeadLetterId({self})")
    }
}
