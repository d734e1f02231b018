//! What has passed a proxy, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Direction;

/// What has passed a proxy since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that are open now.
    pub open: usize,
    /// From clients to the server.
    pub requests: Volume,
    /// From the server to clients, those that were swallowed included.
    pub replies: Volume,
    /// Bytes of replies that were swallowed.
    pub bytes_eaten: u64,
}

/// How much came in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// Bytes.
    pub bytes: u64,
    /// Reads of the proxy: about the messages, where client and server take turns.
    pub chunks: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    accepted: AtomicU64,
    bytes: [AtomicU64; 2],
    chunks: [AtomicU64; 2],
    eaten: AtomicU64,
}

impl Counters {
    /// The number of the next connection.
    pub(super) fn accept(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(super) fn read(&self, direction: Direction, bytes: usize) {
        self.bytes[direction as usize].fetch_add(bytes as u64, Ordering::Relaxed);
        self.chunks[direction as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn eat(&self, bytes: usize) {
        self.eaten.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn traffic(&self, open: usize) -> Traffic {
        let volume = |direction| Volume {
            bytes: self.bytes[direction as usize].load(Ordering::Relaxed),
            chunks: self.chunks[direction as usize].load(Ordering::Relaxed),
        };
        Traffic {
            connections: self.accepted(),
            open,
            requests: volume(Direction::Requests),
            replies: volume(Direction::Replies),
            bytes_eaten: self.eaten.load(Ordering::Relaxed),
        }
    }
}
