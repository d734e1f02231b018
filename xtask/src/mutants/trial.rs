//! Building and running the one test that a mutant is tried on, under time limits.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::catalogue::Test;
use crate::drivers::{backends::Backends, catalogue};
use crate::libtest::{self, Verdict};
use crate::process::{self, Ended, Errors};

/// A mutant changes one file; what takes longer to build than this is stuck.
const BUILD_LIMIT: Duration = Duration::from_secs(180);

/// The first build on the unchanged code also builds every dependency.
const FIRST_BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);

/// No single case takes this long on sound code.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// The lines of a failed build that are shown.
const BUILD_LINES_MAX: usize = 12;

/// What became of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    Passed,
    Failed,
    /// The process ended badly before the test had a verdict.
    Died,
    Hung,
    /// With the compiler's words.
    NotBuilt(String),
    /// There is no such test, or it is ignored.
    NotRun,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => write!(f, "passed"),
            Self::Failed => write!(f, "failed"),
            Self::Died => write!(f, "the test process died"),
            Self::Hung => write!(f, "still ran after {} s", RUN_LIMIT.as_secs()),
            Self::NotBuilt(words) => write!(f, "did not compile\n{words}"),
            Self::NotRun => write!(f, "no test of this name ran"),
        }
    }
}

/// The copied tree with its own target folder, and the servers that its tests ask.
#[derive(Debug)]
pub(crate) struct Trials<'b> {
    tree: PathBuf,
    target: PathBuf,
    backends: &'b Backends,
}

impl<'b> Trials<'b> {
    pub(crate) fn new(tree: PathBuf, target: PathBuf, backends: &'b Backends) -> Self {
        Self { tree, target, backends }
    }

    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }

    /// Like `run`, with time to build the dependencies.
    pub(crate) fn run_on_sound_code(&self, test: &Test) -> Result<Attempt> {
        self.build_and_run(test, FIRST_BUILD_LIMIT)
    }

    /// Builds the test's target and runs this one test.
    pub(crate) fn run(&self, test: &Test) -> Result<Attempt> {
        self.build_and_run(test, BUILD_LIMIT)
    }

    fn build_and_run(&self, test: &Test, build_limit: Duration) -> Result<Attempt> {
        let mut build = self.cargo_test(test);
        build.args(["--no-run", "--quiet"]);
        let mut words = Vec::new();
        let built = process::stream(build, Errors::ReadToo, build_limit, |line| words.push(line.to_owned()))?;
        match built {
            Ended::Exited(status) if status.success() => {}
            Ended::Exited(_) => return Ok(Attempt::NotBuilt(errors_of(&words))),
            Ended::TimedOut => {
                return Ok(Attempt::NotBuilt(format!("not built in {} s", build_limit.as_secs())));
            }
        }
        let mut run = self.cargo_test(test);
        run.args(["--", "--exact", &test.case]).env("STREAM_TEST_REQUIRE", "all");
        if let Some(driver) = catalogue::of_test(&test.package, &test.case) {
            run.envs(self.backends.environment(driver)?);
        }
        let mut verdicts = Vec::new();
        let ended = process::stream(run, Errors::ReadToo, RUN_LIMIT, |line| {
            verdicts.extend(libtest::parse_verdict(line).map(|(name, verdict)| (name.to_owned(), verdict)));
        })?;
        Ok(judge(ended, &verdicts, &test.case))
    }

    fn cargo_test(&self, test: &Test) -> Command {
        let mut command = process::cargo(["test", "-p", &test.package, "--all-features"]);
        match test.target.as_str() {
            "lib" => command.arg("--lib"),
            name => command.args(["--test", name]),
        };
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

fn judge(ended: Ended, verdicts: &[(String, Verdict)], case: &str) -> Attempt {
    let verdict = verdicts.iter().find(|(name, _)| name == case).map(|(_, verdict)| *verdict);
    match (ended, verdict) {
        (Ended::TimedOut, _) => Attempt::Hung,
        (Ended::Exited(_), Some(Verdict::Failed)) => Attempt::Failed,
        (Ended::Exited(status), Some(Verdict::Passed)) if status.success() => Attempt::Passed,
        (Ended::Exited(status), Some(Verdict::Ignored) | None) if status.success() => Attempt::NotRun,
        (Ended::Exited(_), _) => Attempt::Died,
    }
}

/// The part of a build's output that says what is wrong.
fn errors_of(words: &[String]) -> String {
    let first = words.iter().position(|line| line.starts_with("error")).unwrap_or(0);
    words[first..].iter().take(BUILD_LINES_MAX).map(|line| format!("        {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    fn exited(code: i32) -> Ended {
        Ended::Exited(ExitStatus::from_raw(code << 8))
    }

    fn verdicts(verdict: Verdict) -> Vec<(String, Verdict)> {
        vec![("a::b".to_owned(), verdict)]
    }

    #[test]
    fn a_test_passes_only_if_it_ran_and_its_process_ended_well() {
        assert_eq!(judge(exited(0), &verdicts(Verdict::Passed), "a::b"), Attempt::Passed);
        assert_eq!(judge(exited(0), &[], "a::b"), Attempt::NotRun);
        assert_eq!(judge(exited(0), &verdicts(Verdict::Passed), "a::c"), Attempt::NotRun);
        assert_eq!(judge(exited(0), &verdicts(Verdict::Ignored), "a::b"), Attempt::NotRun);
        assert_eq!(judge(exited(101), &verdicts(Verdict::Passed), "a::b"), Attempt::Died);
    }

    #[test]
    fn a_failure_a_death_and_a_hang_are_told_apart() {
        assert_eq!(judge(exited(101), &verdicts(Verdict::Failed), "a::b"), Attempt::Failed);
        assert_eq!(judge(exited(101), &[], "a::b"), Attempt::Died);
        assert_eq!(judge(Ended::TimedOut, &[], "a::b"), Attempt::Hung);
    }

    #[test]
    fn a_failed_build_is_told_from_its_first_error() {
        let words = ["warning: x", "error[E0425]: cannot find `c`", " --> a.rs"].map(String::from);
        assert_eq!(errors_of(&words), "        error[E0425]: cannot find `c`\n         --> a.rs\n");
    }
}
