//! Receipts: which row, by which token; and which of them are known to be over.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::Mutex,
};

use stream_core::{Delivery, JobId, Receipt};

use crate::{locked::locked, row::Key};

/// The row's id and the token of its reserve.
const RECEIPT_BYTES: usize = 16 + 8;
/// More are forgotten, the oldest first: the database knows anyway.
const KEPT: usize = 65_536;

impl Key {
    pub(crate) fn to_receipt(self) -> Receipt {
        let mut bytes = Vec::with_capacity(RECEIPT_BYTES);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.token.to_be_bytes());
        Receipt::new(bytes)
    }

    /// None for bytes that no driver of this crate has made.
    pub(crate) fn of(delivery: &Delivery) -> Option<Self> {
        let bytes = delivery.receipt.as_bytes();
        let (id, token) = bytes.split_at_checked(16)?;
        let id = JobId::from_bytes(id.try_into().ok()?);
        Some(Self { id, token: i64::from_be_bytes(token.try_into().ok()?) })
    }
}

/// The token of a reserve: random, since a counter could come again after a crash undid one.
pub(crate) fn token() -> i64 {
    // Each state has keys of its own, from the system's randomness.
    RandomState::new().hash_one(0_u8).cast_signed()
}

/// Deliveries that this driver knows to be over.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: HashSet<Key>,
    oldest_first: VecDeque<Key>,
}

impl Ended {
    pub(crate) fn note(&self, keys: impl Iterator<Item = Key>) {
        let mut known = locked(&self.known);
        for key in keys {
            if known.keys.insert(key) {
                known.oldest_first.push_back(key);
            }
        }
        while known.oldest_first.len() > KEPT {
            if let Some(key) = known.oldest_first.pop_front() {
                known.keys.remove(&key);
            }
        }
    }

    pub(crate) fn has(&self, key: Key) -> bool {
        locked(&self.known).keys.contains(&key)
    }
}
