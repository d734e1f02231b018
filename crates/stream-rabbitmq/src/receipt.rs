//! Receipts: which channel, which delivery on it.

use stream_core::{Delivery, Receipt};

use crate::arrivals::Tag;

/// The number of the channel and the delivery's own on it. No two channels have the same number: it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) nonce: u64,
    pub(crate) tag: Tag,
}

impl Key {
    pub(crate) fn to_receipt(self) -> Receipt {
        Receipt::new([self.nonce.to_be_bytes(), self.tag.to_be_bytes()].concat())
    }

    /// None for bytes that this driver has not made.
    pub(crate) fn of(delivery: &Delivery) -> Option<Self> {
        let (nonce, tag) = delivery.receipt.as_bytes().split_at_checked(8)?;
        let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        Some(Self { nonce: number(nonce)?, tag: number(tag)? })
    }
}
