//! A receipt: which store, queue, row and delivery.

use stream_core::Receipt;

/// Names one delivery of one job.
///
/// The delivery number is never given twice in a queue, so a row that was emptied and filled again
/// does not match an old receipt. The store's random number keeps out receipts that were made by
/// another store or, serialised, by another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) store: u64,
    pub(crate) queue: usize,
    pub(crate) row: usize,
    pub(crate) delivery: u64,
}

impl Token {
    pub(crate) fn to_receipt(self) -> Receipt {
        let fields = [self.store, self.queue as u64, self.row as u64, self.delivery];
        let mut bytes = [0; 32];
        for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        Receipt::new(bytes)
    }

    /// None for bytes that this driver did not make.
    pub(crate) fn read(receipt: &Receipt) -> Option<Self> {
        let (fields, []) = receipt.as_bytes().as_chunks::<8>() else { return None };
        let &[store, queue, row, delivery] = fields else { return None };
        Some(Self {
            store: u64::from_be_bytes(store),
            queue: u64::from_be_bytes(queue).try_into().ok()?,
            row: u64::from_be_bytes(row).try_into().ok()?,
            delivery: u64::from_be_bytes(delivery),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_read_as_it_was_written() {
        let token = Token { store: u64::MAX, queue: 1, row: 2, delivery: 3 };
        assert_eq!(Token::read(&token.to_receipt()), Some(token));
    }

    #[test]
    fn foreign_bytes_are_no_receipt() {
        for bytes in [vec![], vec![0; 31], vec![0; 33], vec![0; 40]] {
            assert_eq!(Token::read(&Receipt::new(bytes)), None);
        }
    }
}
