//! One reserved job, and how it ends.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::*;

/// One job on loan until it is settled or its lease ends.
///
/// Another process may settle it where the lease is `Timed`; elsewhere it gets `LeaseLost`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Delivery {
    /// The job, or bytes that are none.
    pub envelope: Result<Envelope, Undecodable>,
    /// 1 plus the deliveries ended by `Retry`.
    pub attempt: u32,
    /// The deliveries that ended with no outcome: crash, expiry, connection gone.
    pub lost: u32,
    /// The error of the last `Retry` or `Bury`, where the store keeps it.
    pub last_error: Option<String>,
    /// Proof that this delivery is the current one.
    pub receipt: Receipt,
}

impl Delivery {
    /// A first delivery.
    pub fn new(envelope: Result<Envelope, Undecodable>, receipt: Receipt) -> Self {
        Self { envelope, attempt: 1, lost: 0, last_error: None, receipt }
    }

    /// The job's id, if it can be known.
    pub fn id(&self) -> Option<JobId> {
        match &self.envelope {
            Ok(envelope) => Some(envelope.id),
            Err(undecodable) => undecodable.id,
        }
    }
}

/// What a driver knows its delivery by; opaque to others.
///
/// At most [`RECEIPT_BYTES_MAX`] bytes; `Debug` shows none.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Receipt(Box<[u8]>);

impl Receipt {
    /// Wraps the bytes of a driver.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the driver that made them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt(..)")
    }
}

/// Bytes in a queue that are no envelope; the store keeps them untouched.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Undecodable {
    /// The bytes as they were found.
    pub bytes: Vec<u8>,
    /// The job's id, if it can be known.
    pub id: Option<JobId>,
    /// Why they cannot be read.
    pub reason: String,
}

impl Undecodable {
    /// Says why `bytes` cannot be read.
    pub fn new(bytes: Vec<u8>, id: Option<JobId>, reason: impl Into<String>) -> Self {
        Self { bytes, id, reason: reason.into() }
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "undecodable: {}", self.reason)
    }
}

impl std::error::Error for Undecodable {}

impl fmt::Debug for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Undecodable({} bytes, {})", self.bytes.len(), self.reason)
    }
}

/// How a delivery ends. Exhaustive: a new outcome must break every driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Handled: forget the job.
    Done,
    /// Failed: deliver again, not before `after` from now by the store's clock.
    Retry {
        /// The wait.
        after: Duration,
        /// Why, at most [`ERROR_BYTES_MAX`] bytes.
        error: String,
    },
    /// Failed for good: move to the dead letters.
    Bury {
        /// Why, at most [`ERROR_BYTES_MAX`] bytes.
        error: String,
    },
    /// Not run: deliver again, not before `after` from now; counts as nothing.
    Release {
        /// The wait.
        after: Duration,
    },
}

/// A delivery and the outcome that ends it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Settlement<'a> {
    /// What is ended.
    pub delivery: &'a Delivery,
    /// How it ends.
    pub outcome: &'a Outcome,
}

impl<'a> Settlement<'a> {
    /// Pairs the two.
    pub fn new(delivery: &'a Delivery, outcome: &'a Outcome) -> Self {
        Self { delivery, outcome }
    }
}
