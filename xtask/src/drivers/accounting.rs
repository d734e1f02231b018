//! Adding up a run: every listed test is passed, failed or skipped, exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Sum;
use std::time::Duration;

use crate::libtest::Verdict;

/// What was seen of one run of the harness.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) verdicts: Vec<(String, Verdict)>,
    /// What the tests themselves reported as not run, with the reason.
    pub(crate) skips: Vec<(String, String)>,
    /// Why the run itself is not to be trusted, if so.
    pub(crate) trouble: Option<String>,
    pub(crate) took: Duration,
}

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

/// The counts of a run and what does not add up in it.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) tally: Tally,
    pub(crate) skips: Vec<(String, String)>,
    pub(crate) problems: Vec<String>,
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, tally| Self {
            passed: sum.passed + tally.passed,
            failed: sum.failed + tally.failed,
            skipped: sum.skipped + tally.skipped,
        })
    }
}

/// The reports of a file with one `case<TAB>reason` per line.
pub(crate) fn parse_report(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let pairs = lines.map(|line| line.split_once('\t').unwrap_or((line, "no reason given")));
    pairs.map(|(case, reason)| (case.to_owned(), reason.to_owned())).collect()
}

/// Compares what was listed with what ran and with what was reported as skipped.
pub(crate) fn account(listed: &[String], run: &Run) -> Account {
    let mut account = Account::default();
    account.problems.extend(run.trouble.clone());

    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    let verdicts = verdicts_by_name(run, &listed, &mut account.problems);
    let skipped = skips_by_name(run, &listed, &mut account.problems);
    for name in listed {
        match verdicts.get(name) {
            Some(Verdict::Passed) => match skipped.get(name) {
                Some(reason) => {
                    account.tally.skipped += 1;
                    account.skips.push((name.to_owned(), (*reason).to_owned()));
                }
                None => account.tally.passed += 1,
            },
            Some(Verdict::Failed) => account.tally.failed += 1,
            Some(Verdict::Ignored) => {
                account.tally.failed += 1;
                account.problems.push(format!("{name} is ignored: let it run, or report why it cannot"));
            }
            None => account.problems.push(format!("{name} is listed, but gave no result")),
        }
    }
    account
}

fn verdicts_by_name<'r>(
    run: &'r Run,
    listed: &BTreeSet<&str>,
    problems: &mut Vec<String>,
) -> BTreeMap<&'r str, Verdict> {
    let mut verdicts = BTreeMap::new();
    for (name, verdict) in &run.verdicts {
        if !listed.contains(name.as_str()) {
            problems.push(format!("{name} ran, but is not listed"));
        }
        if verdicts.insert(name.as_str(), *verdict).is_some() {
            problems.push(format!(
                "{name} gave two results: a child process must not print to the test's output"
            ));
        }
    }
    verdicts
}

fn skips_by_name<'r>(
    run: &'r Run,
    listed: &BTreeSet<&str>,
    problems: &mut Vec<String>,
) -> BTreeMap<&'r str, &'r str> {
    let skips: BTreeMap<_, _> =
        run.skips.iter().map(|(case, reason)| (case.as_str(), reason.as_str())).collect();
    let unknown = skips.keys().filter(|case| !listed.contains(**case));
    problems.extend(unknown.map(|case| format!("{case} is reported as skipped, but no such test is listed")));
    skips
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn run(verdicts: &[(&str, Verdict)], skips: &[(&str, &str)]) -> Run {
        Run {
            verdicts: verdicts.iter().map(|(name, verdict)| ((*name).to_owned(), *verdict)).collect(),
            skips: skips.iter().map(|(case, reason)| ((*case).to_owned(), (*reason).to_owned())).collect(),
            ..Run::default()
        }
    }

    #[test]
    fn a_reported_case_moves_from_passed_to_skipped() {
        let run = run(&[("a", Verdict::Passed), ("b", Verdict::Passed)], &[("b", "set X")]);
        let account = account(&names(&["a", "b"]), &run);
        assert_eq!(account.tally, Tally { passed: 1, failed: 0, skipped: 1 });
        assert_eq!(account.skips, [("b".to_owned(), "set X".to_owned())]);
        assert!(account.problems.is_empty());
    }

    #[test]
    fn a_reported_case_that_failed_stays_failed() {
        let account = account(&names(&["a"]), &run(&[("a", Verdict::Failed)], &[("a", "set X")]));
        assert_eq!(account.tally, Tally { passed: 0, failed: 1, skipped: 0 });
    }

    #[test]
    fn an_ignored_test_is_a_failure() {
        let account = account(&names(&["a"]), &run(&[("a", Verdict::Ignored)], &[]));
        assert_eq!(account.tally, Tally { passed: 0, failed: 1, skipped: 0 });
        assert_eq!(account.problems.len(), 1);
    }

    #[test]
    fn what_does_not_add_up_is_named() {
        let listed = names(&["a", "b"]);
        let missing = account(&listed, &run(&[("a", Verdict::Passed)], &[]));
        assert_eq!(missing.problems, ["b is listed, but gave no result"]);
        let all = [("a", Verdict::Passed), ("b", Verdict::Passed)];
        let stranger = account(&listed, &run(&[all[0], all[1], ("c", Verdict::Passed)], &[]));
        assert_eq!(stranger.problems, ["c ran, but is not listed"]);
        assert_eq!(stranger.tally.passed, 2);
        let twice = account(&listed, &run(&[all[0], all[1], all[0]], &[]));
        assert_eq!(twice.problems.len(), 1);
        let unknown = account(&listed, &run(&all, &[("d", "set X")]));
        assert_eq!(unknown.problems, ["d is reported as skipped, but no such test is listed"]);
    }

    #[test]
    fn a_troubled_run_is_a_problem_even_if_all_passed() {
        let run = Run { trouble: Some("ended by signal 9".into()), ..run(&[("a", Verdict::Passed)], &[]) };
        assert_eq!(account(&names(&["a"]), &run).problems, ["ended by signal 9"]);
    }

    #[test]
    fn a_report_is_read_line_by_line() {
        let report = parse_report("a::b\tset STREAM_TEST_REDIS_URL\n\nc\n");
        assert_eq!(report[0], ("a::b".to_owned(), "set STREAM_TEST_REDIS_URL".to_owned()));
        assert_eq!(report[1], ("c".to_owned(), "no reason given".to_owned()));
    }
}
