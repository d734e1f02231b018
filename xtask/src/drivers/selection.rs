//! What `test-drivers` is asked to run: which rows, which tiers, and with what help.

use clap::{Args, ValueEnum};

use super::catalogue::Extras;
use crate::services::install::IfMissing;

/// The options of `cargo xtask test-drivers`.
#[derive(Debug, Default, Args)]
pub(crate) struct Selection {
    /// Only these rows of the table; all when none is named
    #[arg(long = "driver", value_name = "NAME", num_args = 1..)]
    pub(crate) drivers: Vec<String>,
    /// Only this tier of the suite
    #[arg(long, value_enum, default_value_t)]
    pub(crate) tier: TierName,
    /// Install servers that are missing, printing each command first
    #[arg(long)]
    pub(crate) install: bool,
    /// Use the servers of `services up` and leave them running
    #[arg(long)]
    pub(crate) keep: bool,
    /// Also test on other makes and versions of the servers, in a table of their own
    #[arg(long)]
    pub(crate) extras: bool,
}

/// A tier as it is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TierName {
    Conformance,
    Crash,
    Fault,
    /// Takes many minutes, so it runs only when it is asked for
    Soak,
    /// Everything but soak: these tiers, and the tests outside the suite
    #[default]
    All,
}

impl TierName {
    /// Whether a tier of the table belongs to what was asked for.
    pub(crate) fn includes(self, tier: &str) -> bool {
        match self {
            Self::Conformance => tier == "conformance",
            Self::Crash => tier == "crash",
            Self::Fault => tier == "fault",
            Self::Soak => tier == "soak",
            Self::All => tier != "soak",
        }
    }
}

impl Selection {
    pub(crate) fn extras(&self) -> Extras {
        if self.extras { Extras::Included } else { Extras::Left }
    }

    pub(crate) fn if_missing(&self) -> IfMissing {
        if self.install { IfMissing::Install } else { IfMissing::Refuse }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_everything_but_soak() {
        for tier in ["conformance", "crash", "fault", "unit", "docs"] {
            assert!(TierName::All.includes(tier), "{tier}");
        }
        assert!(!TierName::All.includes("soak"));
    }

    #[test]
    fn a_named_tier_is_only_itself() {
        assert!(TierName::Crash.includes("crash"));
        assert!(!TierName::Crash.includes("fault") && !TierName::Crash.includes("unit"));
        assert!(TierName::Soak.includes("soak"));
    }
}
