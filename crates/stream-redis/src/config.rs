//! What can be set about a connection to Redis.

use std::time::Duration;

use stream_core::{Error, ErrorKind, Result};

use crate::error::DRIVER;

/// Longest prefix: keys stand in every command.
const PREFIX_BYTES_MAX: usize = 64;

/// What can be set about a connection to Redis.
///
/// ```
/// use std::time::Duration;
/// use stream_redis::RedisConfig;
///
/// let config = RedisConfig::new().prefix("shop").call_timeout(Duration::from_secs(10));
/// # drop(config);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    pub(crate) prefix: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) envelope_bytes_max: usize,
    pub(crate) confirmation: Confirmation,
    pub(crate) eviction: Eviction,
}

/// What a change waits for beside the server's own answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Confirmation {
    /// The answer of the server, which has written as its `appendfsync` says.
    Answer,
    /// That so many replicas have received it, by `WAIT`.
    Replicas {
        /// How many replicas, at least 1.
        replicas: u32,
        /// How long to wait for them.
        timeout: Duration,
    },
    /// That it is on the disk of the server, and of so many replicas, by `WAITAOF` of Redis 7.2.
    Disk {
        /// How many replicas, 0 for the server alone.
        replicas: u32,
        /// How long to wait for it.
        timeout: Duration,
    },
}

/// What to do with a server that may throw jobs away when its memory is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// Refuse to work with it: only `maxmemory-policy noeviction` is taken.
    Refused,
    /// Take it, and say so in `check`.
    Allowed,
}

impl RedisConfig {
    /// The prefix `stream`, envelopes of up to 16 MiB, no confirmation beside the answer.
    pub fn new() -> Self {
        Self {
            prefix: "stream".into(),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            // A larger one would hold the only thread of the server for many milliseconds.
            envelope_bytes_max: 16 * 1024 * 1024,
            confirmation: Confirmation::Answer,
            eviction: Eviction::Refused,
        }
    }

    /// Sets what all keys begin with; `stream` unless set.
    ///
    /// 1 to 64 of `A-Z a-z 0-9 _ - . :`; else `connect` answers `Config`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long a call waits for a connection; 5 seconds unless set. Then it is `Unavailable`.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long one step of a call may take in all; 30 seconds unless set.
    ///
    /// Then what was to be written is `OutcomeUnknown`, what was to be read `Unavailable`. A connection
    /// that has answered nothing for so long is given up and opened anew.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sets the most bytes of an encoded envelope, which the core checks at push; 16 MiB unless set.
    #[must_use]
    pub fn envelope_bytes_max(mut self, bytes: usize) -> Self {
        self.envelope_bytes_max = bytes;
        self
    }

    /// Sets what a push, a settlement and a change of dead letters wait for; their answer unless set.
    ///
    /// What was not confirmed in time is `OutcomeUnknown`: it is stored, but not as safe as asked for.
    /// Where the server has no `WAITAOF`, [`Confirmation::Disk`] is refused with `Unsupported`.
    #[must_use]
    pub fn confirmation(mut self, confirmation: Confirmation) -> Self {
        self.confirmation = confirmation;
        self
    }

    /// Sets whether a server is taken that may throw jobs away; refused unless set.
    #[must_use]
    pub fn eviction(mut self, eviction: Eviction) -> Self {
        self.eviction = eviction;
        self
    }

    pub(crate) fn checked(self) -> Result<Self> {
        let wrong = |detail: String| Err(Error::new(ErrorKind::Config, DRIVER, "connect").explained(detail));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        if !(1..=PREFIX_BYTES_MAX).contains(&self.prefix.len()) || !self.prefix.bytes().all(is_plain) {
            return wrong(format!("the prefix must be 1 to {PREFIX_BYTES_MAX} of A-Z a-z 0-9 _ - . :"));
        }
        if self.connect_timeout.is_zero() || self.call_timeout.is_zero() {
            return wrong("a timeout of zero ends every call".into());
        }
        match self.confirmation {
            Confirmation::Replicas { replicas: 0, .. } => {
                wrong("a confirmation by no replica confirms nothing: name at least 1".into())
            }
            Confirmation::Replicas { timeout, .. } | Confirmation::Disk { timeout, .. }
                if timeout.as_millis() == 0 || timeout >= self.call_timeout =>
            {
                // Zero is for ever to the server; a longer wait would end the call before its answer.
                wrong("a confirmation must wait at least 1 ms and less than the call's timeout".into())
            }
            _ => Ok(self),
        }
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self::new()
    }
}
