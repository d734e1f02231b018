//! Running a package's tests tier by tier, so that each tier has its own time and its own report.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::accounting::{self, Run};
use super::catalogue::Driver;
use crate::libtest::{self, Verdict};
use crate::process::{self, Ended, Errors};
use crate::workspace::{Package, Target, Workspace};

/// The integration test whose first module names are tiers.
const SUITE: &str = "suite";

/// A tier that takes longer hangs: all tests together have 25 minutes in CI.
const TIER_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Run only when it is asked for: a night's worth of seeds and backlogs.
const SOAK: &str = "soak";
const SOAK_LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

const REPORT: &str = "STREAM_TEST_REPORT";
const REQUIRE: &str = "STREAM_TEST_REQUIRE";

/// The tests that one row of the table stands for.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) name: String,
    pub(crate) target: TestTarget,
    pub(crate) tests: Vec<String>,
}

/// What `cargo test` is told to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TestTarget {
    Lib,
    Bin(String),
    Integration(String),
    Docs,
}

impl TestTarget {
    /// A word for file names.
    pub(crate) fn label(&self) -> &str {
        match self {
            Self::Lib => "lib",
            Self::Bin(name) | Self::Integration(name) => name,
            Self::Docs => "docs",
        }
    }

    fn arguments(&self) -> Vec<&str> {
        match self {
            Self::Lib => vec!["--lib"],
            Self::Bin(name) => vec!["--bin", name],
            Self::Integration(name) => vec!["--test", name],
            Self::Docs => vec!["--doc"],
        }
    }

    fn is_suite(&self) -> bool {
        matches!(self, Self::Integration(name) if name == SUITE)
    }

    fn tier_of(&self, test: &str) -> String {
        match self {
            Self::Lib | Self::Bin(_) => "unit".to_owned(),
            Self::Docs => "docs".to_owned(),
            Self::Integration(name) if name == SUITE => match test.split_once("::") {
                Some((module, _)) => module.to_owned(),
                None => SUITE.to_owned(),
            },
            Self::Integration(name) => name.clone(),
        }
    }
}

/// What `STREAM_TEST_REQUIRE` is for the tests: `all`, unless the caller set it.
pub(crate) fn required() -> String {
    env::var(REQUIRE).unwrap_or_else(|_| "all".to_owned())
}

/// Lists a row's tests of each target and sorts them into tiers; a target without tests has none.
pub(crate) fn tiers(workspace: &Workspace, package: &Package, driver: &Driver) -> Result<Vec<Tier>> {
    let mut tiers = Vec::new();
    for target in package.targets.iter().flat_map(test_targets) {
        let mut command = cargo_test(workspace, package, &target);
        command.args(["--quiet", "--", "--list"]);
        let mut tests = libtest::parse_list(&process::output(&mut command)?);
        match target.is_suite() {
            true => tests.retain(|test| driver.has(test)),
            // What is outside the suite is of no part.
            false if driver.part.name().is_some() => tests.clear(),
            false => {}
        }
        tiers.extend(grouped(&target, tests));
    }
    Ok(tiers)
}

fn test_targets(target: &Target) -> Vec<TestTarget> {
    let name = target.name.clone();
    let is_lib = target.is("lib") || target.is("proc-macro");
    let runs = match () {
        () if !target.test => None,
        () if is_lib => Some(TestTarget::Lib),
        () if target.is("bin") => Some(TestTarget::Bin(name)),
        () if target.is("test") => Some(TestTarget::Integration(name)),
        () => None,
    };
    let docs = (is_lib && target.doctest).then_some(TestTarget::Docs);
    runs.into_iter().chain(docs).collect()
}

fn grouped(target: &TestTarget, tests: Vec<String>) -> Vec<Tier> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for test in tests {
        groups.entry(target.tier_of(&test)).or_default().push(test);
    }
    groups.into_iter().map(|(name, tests)| Tier { name, target: target.clone(), tests }).collect()
}

fn cargo_test(workspace: &Workspace, package: &Package, target: &TestTarget) -> Command {
    let mut command = process::cargo(["test", "-p", &package.name, "--all-features"]);
    command.args(target.arguments()).current_dir(&workspace.root);
    command
}

/// Runs one tier and gathers what it printed and reported; failures are shown as they come.
pub(crate) fn run(
    workspace: &Workspace,
    package: &Package,
    tier: &Tier,
    environment: &[(&'static str, String)],
    report: &Path,
) -> Result<Run> {
    let mut command = cargo_test(workspace, package, &tier.target);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.env(REPORT, report).env(REQUIRE, required());
    let limit = if tier.name == SOAK { SOAK_LIMIT } else { TIER_LIMIT };
    if tier.name == SOAK {
        command.env("STREAM_TEST_SOAK", "1");
    }
    if tier.target.is_suite() {
        // Named one by one, since a filter by `tier::` would also find that module further down in a name.
        command.args(["--", "--exact"]).args(&tier.tests);
    }
    let started = Instant::now();
    let mut verdicts = Vec::new();
    let ended = process::stream(command, Errors::Shown, limit, |line| {
        if let Some((name, verdict)) = libtest::parse_verdict(line) {
            verdicts.push((name.to_owned(), verdict));
        }
        if libtest::is_worth_showing(line) {
            println!("{line}");
        }
    })?;
    let trouble = trouble(ended, limit, &verdicts);
    let skips = accounting::parse_report(&read_report(report)?);
    Ok(Run { verdicts, skips, trouble, took: started.elapsed() })
}

/// A harness that ends badly without a failed test died on the way.
fn trouble(ended: Ended, limit: Duration, verdicts: &[(String, Verdict)]) -> Option<String> {
    let any_failed = verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Failed);
    match ended {
        Ended::TimedOut => Some(format!("ended after {} minutes: a test hangs", limit.as_secs() / 60)),
        Ended::Exited(status) if !status.success() && !any_failed => {
            Some(format!("the tests ended with {status}, but none failed"))
        }
        Ended::Exited(status) if status.success() && any_failed => {
            Some("a test failed, but the run ended as a success".to_owned())
        }
        Ended::Exited(_) => None,
    }
}

fn read_report(report: &Path) -> Result<String> {
    match fs::read_to_string(report) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", report.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: &str, test: bool, doctest: bool) -> Target {
        Target { name: "suite".into(), kind: vec![kind.into()], test, doctest }
    }

    #[test]
    fn every_testable_target_is_run() {
        assert_eq!(test_targets(&target("lib", true, true)), [TestTarget::Lib, TestTarget::Docs]);
        assert_eq!(test_targets(&target("bin", true, false)), [TestTarget::Bin("suite".into())]);
        assert_eq!(test_targets(&target("test", true, false)), [TestTarget::Integration("suite".into())]);
        assert_eq!(test_targets(&target("example", false, false)), []);
        assert_eq!(test_targets(&target("lib", false, false)), []);
    }

    #[test]
    fn the_first_module_in_the_suite_is_the_tier() {
        let suite = TestTarget::Integration("suite".into());
        let tests = ["crash::a", "conformance::crash::b", "crash::c", "alone"].map(String::from).to_vec();
        let tiers = grouped(&suite, tests);
        let names: Vec<_> = tiers.iter().map(|tier| (tier.name.as_str(), tier.tests.len())).collect();
        assert_eq!(names, [("conformance", 1), ("crash", 2), ("suite", 1)]);
    }

    #[test]
    fn other_targets_are_one_tier_each() {
        assert_eq!(TestTarget::Lib.tier_of("retry::tests::a"), "unit");
        assert_eq!(TestTarget::Docs.tier_of("src/lib.rs - (line 3)"), "docs");
        assert_eq!(TestTarget::Integration("golden".into()).tier_of("v1::a"), "golden");
    }
}
