//! The keys of a queue, all in one hash slot, as the scripts take them.

use bytes::Bytes;
use fred::types::Value;
use stream_core::{Priority, QueueName};

/// Slots of a cluster.
const SLOTS: u16 = 16_384;

/// The keys of one queue.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) queue: QueueName,
    /// Where a cluster keeps them.
    pub(crate) slot: u16,
    pub(crate) jobs: Value,
    pub(crate) notes: Value,
    pub(crate) wake: Value,
    pub(crate) unique: Value,
    pub(crate) claims: Value,
    pub(crate) dead: Value,
    pub(crate) takes: Value,
    pub(crate) ready: [Value; 4],
    pub(crate) leased: [Value; 4],
    pub(crate) delayed: [Value; 4],
}

impl Keys {
    pub(crate) fn new(prefix: &str, queue: &QueueName) -> Self {
        let key = |name: &str| Value::Bytes(Bytes::from(format!("{prefix}:{{{queue}}}:{name}")));
        let levels = |name: &str| Priority::ALL.map(|priority| key(&format!("{name}:{priority}")));
        Self {
            queue: queue.clone(),
            slot: slot(queue.as_str().as_bytes()),
            jobs: key("jobs"),
            notes: key("notes"),
            wake: key("wake"),
            unique: key("unique"),
            claims: key("claims"),
            dead: key("dead"),
            takes: key("takes"),
            ready: levels("ready"),
            leased: levels("leased"),
            delayed: levels("delayed"),
        }
    }

    /// What a probe looks at.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Value> {
        self.ready.iter().chain(&self.leased).chain(&self.delayed)
    }
}

/// The slot of a hash tag: CRC16 (XMODEM) of what stands between the braces.
fn slot(tag: &[u8]) -> u16 {
    let crc =
        tag.iter().fold(0_u16, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            })
        });
    crc % SLOTS
}

#[cfg(test)]
mod tests;
