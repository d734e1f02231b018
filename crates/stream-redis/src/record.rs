//! What the server holds of a job: its bytes, and notes on what became of it so far.

use bytes::Bytes;
use stream_core::{Envelope, JobId, Undecodable};

/// Both counts, before the error.
const COUNTS_BYTES: usize = 8;
/// What an error begins with, so that an empty one can be told from none.
const ERROR_MARK: u8 = b'e';

/// What the bytes of a job hold; the field knows the job even if its bytes do not.
pub(crate) fn envelope(id: JobId, bytes: &Bytes) -> Result<Envelope, Undecodable> {
    Envelope::from_bytes(bytes.to_vec()).map_err(|mut undecodable| {
        undecodable.id.get_or_insert(id);
        undecodable
    })
}

/// What is noted of a job that was retried, lost or buried.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Deliveries that ended with a retry.
    pub(crate) attempts: u32,
    /// Deliveries that ended with no outcome.
    pub(crate) lost: u32,
    pub(crate) error: Option<String>,
}

impl Notes {
    /// Reads two big-endian counts and the error; nothing was noted of most jobs.
    pub(crate) fn read(bytes: Option<Bytes>) -> Self {
        let Some((counts, error)) = bytes.as_ref().and_then(|bytes| bytes.split_at_checked(COUNTS_BYTES))
        else {
            return Self::default();
        };
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        Self {
            attempts: number(&counts[..4]),
            lost: number(&counts[4..]),
            error: error.strip_prefix(&[ERROR_MARK]).map(|error| String::from_utf8_lossy(error).into_owned()),
        }
    }
}
