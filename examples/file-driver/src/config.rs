//! What can be set.

use std::{path::PathBuf, time::Duration};

/// Most bytes of an encoded envelope unless set; a file would hold more.
const ENVELOPE_BYTES_MAX_DEFAULT: usize = 1024 * 1024;
/// Listing a short folder takes some ten microseconds.
const POLL_DEFAULT: Duration = Duration::from_millis(10);

/// What can be set.
#[derive(Debug, Clone)]
pub struct FileConfig {
    pub(crate) folder: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) poll: Duration,
    pub(crate) envelope_bytes_max: usize,
}

/// When an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// After the disk has it: a power cut loses nothing that was answered.
    Disk,
    /// After the system has it: a killed process loses nothing, a power cut may.
    System,
}

impl FileConfig {
    /// Jobs in this folder, which is made if it is not there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            durability: Durability::Disk,
            poll: POLL_DEFAULT,
            envelope_bytes_max: ENVELOPE_BYTES_MAX_DEFAULT,
        }
    }

    /// When an answer is given; [`Durability::Disk`] unless set.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How often a waiting consumer looks at its queues; 10 ms unless set, at least 1 ms.
    #[must_use]
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll.max(Duration::from_millis(1));
        self
    }

    /// The most bytes of an encoded envelope, which the core checks at push; 1 MiB unless set.
    #[must_use]
    pub fn envelope_bytes_max(mut self, bytes: usize) -> Self {
        self.envelope_bytes_max = bytes;
        self
    }
}
