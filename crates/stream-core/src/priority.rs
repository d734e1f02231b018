//! How urgent a job is beside others of its queue.

use std::{fmt, str::FromStr};

use crate::*;

/// How urgent a job is beside others of its queue.
///
/// How strictly: see [`Capabilities::priorities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Before all others.
    Critical,
    /// Before `Default` and `Low`.
    High,
    /// Unless set.
    #[default]
    Default,
    /// When nothing else is ready.
    Low,
}

impl Priority {
    /// All four, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Default, Self::Low];

    /// The place in [`Priority::ALL`]: 0 for `Critical` to 3 for `Low`.
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// The priority of a level from 0 to 3.
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            0..=3 => Some(Self::ALL[level as usize]),
            _ => None,
        }
    }

    /// The name: `critical`, `high`, `default` or `low`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Default => "default",
            Self::Low => "low",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|priority| priority.as_str() == name);
        found.ok_or_else(|| {
            Error::config("priority", format!("`{name}` is not critical, high, default or low"))
        })
    }
}
