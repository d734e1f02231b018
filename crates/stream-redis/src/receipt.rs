//! Receipts: which lease of which job; and which of them are known to be over.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Mutex,
};

use bytes::Bytes;
use stream_core::{Delivery, Receipt};

use crate::locked::locked;

const ID_BYTES: usize = 16;
const TOKEN_BYTES: usize = 8;
/// The level, the id and the token of the reserve.
const RECEIPT_BYTES: usize = 1 + ID_BYTES + TOKEN_BYTES;
/// What the members of the leases are filled up to.
///
/// Redis keeps a small sorted set as a list that it searches from the front, unless a member is longer than
/// 64 bytes (`zset-max-listpack-value`). With a hundred leases that costs more than these bytes do.
pub(crate) const MEMBER_BYTES: usize = 65;
/// Rows of [`Ended`], and the leases of one.
const ROWS: usize = 4_096;
const WIDTH: usize = 4;

/// The fence of all jobs that one reserve takes: random, since a counter could come again after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token([u8; TOKEN_BYTES]);

impl Token {
    pub(crate) fn new() -> Self {
        // Each state has keys of its own, from the system's randomness.
        Self(RandomState::new().hash_one(0_u8).to_be_bytes())
    }

    /// What follows the id in the member of a lease.
    pub(crate) fn to_bytes(self) -> Bytes {
        let mut bytes = [b'.'; MEMBER_BYTES - ID_BYTES];
        bytes[..TOKEN_BYTES].copy_from_slice(&self.0);
        Bytes::copy_from_slice(&bytes)
    }
}

/// A lease: its job with its priority, and its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    bytes: [u8; RECEIPT_BYTES],
}

impl Lease {
    pub(crate) fn new(level: usize, id: [u8; ID_BYTES], token: Token) -> Self {
        let mut bytes = [0; RECEIPT_BYTES];
        bytes[0] = level as u8;
        bytes[1..=ID_BYTES].copy_from_slice(&id);
        bytes[1 + ID_BYTES..].copy_from_slice(&token.0);
        Self { bytes }
    }

    /// None for bytes that no driver of this crate has made.
    pub(crate) fn of(delivery: &Delivery) -> Option<Self> {
        let bytes: [u8; RECEIPT_BYTES] = delivery.receipt.as_bytes().try_into().ok()?;
        (bytes[0] < 4).then_some(Self { bytes })
    }

    pub(crate) fn to_receipt(self) -> Receipt {
        Receipt::new(self.bytes)
    }

    /// Its row in [`Ended`]: the end of an id is random.
    fn row(self) -> usize {
        let [.., high, low] = self.bytes[..=ID_BYTES] else { return 0 };
        usize::from(u16::from_be_bytes([high, low])) % ROWS
    }

    /// The place of its priority.
    pub(crate) fn level(self) -> usize {
        self.bytes[0].into()
    }

    /// Appends what the server knows it by: [`MEMBER_BYTES`] bytes.
    pub(crate) fn write_member(self, to: &mut Vec<u8>) {
        let end = to.len() + MEMBER_BYTES;
        to.extend_from_slice(&self.bytes[1..]);
        to.resize(end, b'.');
    }
}

/// Leases that this driver knows to be over; the oldest are forgotten, since the server knows anyway.
///
/// A table of fixed size, because each delivery passes through it: what is noted displaces what has been
/// longest in its row.
#[derive(Debug)]
pub(crate) struct Ended {
    rows: Mutex<Vec<Row>>,
}

#[derive(Debug, Clone, Default)]
struct Row {
    leases: [Option<Lease>; WIDTH],
    oldest: u8,
}

impl Default for Ended {
    fn default() -> Self {
        Self { rows: Mutex::new(vec![Row::default(); ROWS]) }
    }
}

impl Ended {
    pub(crate) fn note(&self, leases: impl Iterator<Item = Lease>) {
        let mut rows = locked(&self.rows);
        for lease in leases {
            let row = &mut rows[lease.row()];
            row.leases[usize::from(row.oldest)] = Some(lease);
            row.oldest = (row.oldest + 1) % WIDTH as u8;
        }
    }

    pub(crate) fn has(&self, lease: Lease) -> bool {
        locked(&self.rows)[lease.row()].leases.contains(&Some(lease))
    }
}

#[cfg(test)]
mod tests;
