//! Reading what Rust's test harness prints: its list of tests and its verdicts.

/// What the harness said about one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    Ignored,
}

/// Endings that the harness adds to a name when it runs a test, but not when it lists it.
const REMARKS: [&str; 4] = [" - should panic", " - compile fail", " - compile", " - nightly"];

/// The names in the output of `-- --list`.
pub(crate) fn parse_list(output: &str) -> Vec<String> {
    output.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// The test and verdict of a line such as `test lease::ends ... ok`; `None` for any other line.
pub(crate) fn parse_verdict(line: &str) -> Option<(&str, Verdict)> {
    let (name, word) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let verdict = match word.split([' ', ',']).next()? {
        "ok" => Verdict::Passed,
        "FAILED" => Verdict::Failed,
        "ignored" => Verdict::Ignored,
        _ => return None,
    };
    Some((without_remark(name), verdict))
}

fn without_remark(name: &str) -> &str {
    REMARKS.iter().find_map(|remark| name.strip_suffix(remark)).unwrap_or(name)
}

/// Whether a line is worth showing: failures and their output are, successes and blank lines are not.
pub(crate) fn is_worth_showing(line: &str) -> bool {
    let is_noise = line.trim().is_empty()
        || is_count(line)
        || line.starts_with("test result: ok.")
        || line.starts_with("all doctests ran in");
    !is_noise && !matches!(parse_verdict(line), Some((_, Verdict::Passed)))
}

fn is_count(line: &str) -> bool {
    line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_without_its_summary() {
        let output = "a::b: test\nbench_me: benchmark\nsrc/lib.rs - (line 3): test\n\n2 tests, 1 benchmark\n";
        assert_eq!(parse_list(output), ["a::b", "src/lib.rs - (line 3)"]);
    }

    #[test]
    fn verdicts_are_read() {
        assert_eq!(parse_verdict("test a::b ... ok"), Some(("a::b", Verdict::Passed)));
        assert_eq!(parse_verdict("test a::b ... ok <0.012s>"), Some(("a::b", Verdict::Passed)));
        assert_eq!(parse_verdict("test a::b ... FAILED"), Some(("a::b", Verdict::Failed)));
        assert_eq!(parse_verdict("test a::b ... ignored, needs a broker"), Some(("a::b", Verdict::Ignored)));
        assert_eq!(parse_verdict("test a - should panic ... ok"), Some(("a", Verdict::Passed)));
        let doc = "test src/lib.rs - add (line 7) - compile fail ... ok";
        assert_eq!(parse_verdict(doc), Some(("src/lib.rs - add (line 7)", Verdict::Passed)));
    }

    #[test]
    fn other_lines_are_no_verdicts() {
        assert_eq!(parse_verdict("test a::b has been running for over 60 seconds"), None);
        assert_eq!(parse_verdict("test result: ok. 3 passed; 0 failed"), None);
        assert_eq!(parse_verdict("a test of mine ... ok"), None);
        assert_eq!(parse_verdict("test a ... perhaps"), None);
    }

    #[test]
    fn only_trouble_is_shown() {
        assert!(!is_worth_showing("test a ... ok"));
        assert!(!is_worth_showing("running 3 tests"));
        assert!(!is_worth_showing(""));
        assert!(is_worth_showing("test a ... FAILED"));
        assert!(is_worth_showing("thread 'a' panicked at src/lib.rs:3:5:"));
        assert!(is_worth_showing("test result: FAILED. 1 passed; 1 failed"));
    }
}
