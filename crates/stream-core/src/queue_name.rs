//! A checked queue name, legal on every store.

use std::{fmt, str::FromStr, sync::Arc};

use crate::*;

/// A checked queue name: 1 to 48 of `A-Z a-z 0-9 _ -`.
///
/// Case counts. SQS allows 80: room for a prefix of 16 and our suffixes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(Arc<str>);

const NAME_MAX: usize = 48;

impl QueueName {
    /// Checks a name.
    ///
    /// # Errors
    /// `Config` for any other.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        if is_queue_name(name) {
            return Ok(Self(Arc::from(name)));
        }
        let shown: String = name.chars().take(NAME_MAX).collect();
        Err(Error::config("queue name", format!("{shown:?} must be 1 to {NAME_MAX} of A-Z a-z 0-9 _ -")))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `const`, so that the compiler checks `Job::QUEUE`.
pub(crate) const fn is_queue_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_alphanumeric() && !matches!(bytes[at], b'_' | b'-') {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty() && bytes.len() <= NAME_MAX
}

impl AsRef<str> for QueueName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for QueueName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests;
