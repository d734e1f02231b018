//! The identity of a job: a UUIDv7 made by the client.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, ErrorKind};

/// A UUIDv7, known before the job is sent.
///
/// A job's identity is the pair of its queue and this id. Ids made by one process sort in the order
/// in which they were made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId([u8; 16]);

impl JobId {
    /// Makes a new id from the time and randomness.
    #[allow(clippy::new_without_default, reason = "a fresh id is no default value")]
    pub fn new() -> Self {
        Self(Uuid::now_v7().into_bytes())
    }

    /// The id with these sixteen bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Milliseconds since 1970 at which the id was made, by its maker's clock: information only.
    pub(crate) fn made_at_ms(self) -> u64 {
        let [a, b, c, d, e, f, ..] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_bytes(self.0).hyphenated(), f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let id = Uuid::parse_str(text).map_err(|error| {
            Error::new(ErrorKind::Config, "core", "job id").explained("it must be a UUID").caused_by(error)
        })?;
        Ok(Self(id.into_bytes()))
    }
}
