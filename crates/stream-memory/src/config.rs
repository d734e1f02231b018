//! What can be set about a store in memory.

/// Most bytes of an encoded envelope unless set: more than any job should carry.
const ENVELOPE_BYTES_MAX_DEFAULT: usize = 16 * 1024 * 1024;

/// What can be set about a store in memory.
///
/// ```
/// use stream_memory::{MemoryConfig, MemoryDriver};
///
/// let driver = MemoryDriver::with_config(MemoryConfig::new().capacity(100_000));
/// # drop(driver);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryConfig {
    pub(crate) capacity: Option<usize>,
    pub(crate) envelope_bytes_max: usize,
}

impl MemoryConfig {
    /// No capacity, envelopes of up to 16 MiB.
    pub fn new() -> Self {
        Self { capacity: None, envelope_bytes_max: ENVELOPE_BYTES_MAX_DEFAULT }
    }

    /// Sets how many jobs the whole store holds: waiting, reserved and dead, in all queues together.
    ///
    /// A job pushed beyond it is refused with `Unavailable`, its neighbours are not. Jobs that the store
    /// holds are never refused: a full store retries and buries as usual.
    #[must_use]
    pub fn capacity(mut self, max_jobs: usize) -> Self {
        self.capacity = Some(max_jobs);
        self
    }

    /// Sets the most bytes of an encoded envelope, which the core checks at push; 16 MiB unless set.
    #[must_use]
    pub fn envelope_bytes_max(mut self, bytes: usize) -> Self {
        self.envelope_bytes_max = bytes;
        self
    }
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self::new()
    }
}
