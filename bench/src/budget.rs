//! The budget of instructions per job, and how a run is judged by it. Pure.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// How much more a stage may take than its budget says.
const TOLERANCE_PERCENT: f64 = 10.0;

/// What each stage may take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// The compiler that the counts were made with.
    pub(crate) rustc: String,
    /// Instructions per job, by stage.
    pub(crate) stages: BTreeMap<String, u64>,
}

/// One stage beside its budget.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    pub(crate) stage: String,
    pub(crate) counted: f64,
    pub(crate) budget: Option<u64>,
    pub(crate) change_percent: Option<f64>,
}

impl Budget {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}: name it with --budget", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is no budget", path.display()))
    }

    pub(crate) fn judge(&self, stage: &str, counted: f64) -> Judged {
        let budget = self.stages.get(stage).copied();
        let change_percent = budget.map(|budget| (counted / budget as f64 - 1.0) * 100.0);
        Judged { stage: stage.to_owned(), counted, budget, change_percent }
    }
}

impl Judged {
    /// A stage without a budget is too dear: nobody has decided what it may take.
    pub(crate) fn is_too_dear(&self) -> bool {
        self.change_percent.is_none_or(|change| change > TOLERANCE_PERCENT)
    }

    /// The budget can be lowered, so that what was won stays won.
    pub(crate) fn is_far_below(&self) -> bool {
        self.change_percent.is_some_and(|change| change < -TOLERANCE_PERCENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(counted: f64) -> Judged {
        let stages = BTreeMap::from([("consumer".to_owned(), 1_000)]);
        Budget { rustc: String::new(), stages }.judge("consumer", counted)
    }

    #[test]
    fn ten_per_cent_above_the_budget_pass_and_more_does_not() {
        assert!(!judged(1_099.0).is_too_dear());
        assert!(judged(1_101.0).is_too_dear());
        assert!(!judged(1_099.0).is_far_below() && !judged(901.0).is_far_below());
        assert!(judged(899.0).is_far_below());
    }

    #[test]
    fn a_stage_without_a_budget_does_not_pass() {
        let budget = Budget { rustc: String::new(), stages: BTreeMap::new() };
        assert!(budget.judge("consumer", 1.0).is_too_dear());
    }

    #[test]
    fn the_budget_in_the_repository_can_be_read() {
        let budget: Budget = toml::from_str(include_str!("../instructions.toml")).unwrap();
        let stages: Vec<_> = budget.stages.keys().map(String::as_str).collect();
        assert_eq!(stages, ["consumer", "push_many", "reserve_settle"]);
    }
}
