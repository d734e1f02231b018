//! Every conformance case kills a mutant: a case that nothing fails proves nothing.

use std::path::Path;

use anyhow::Result;

use super::{Finding, TextFile};
use crate::mutants::catalogue;
use crate::workspace::Workspace;

const CASES: &str = "crates/stream-testkit/src/cases";

/// Compares the functions in `cases/` with the cases that mutants name.
pub(super) fn check(workspace: &Workspace, files: &[TextFile]) -> Result<Vec<Finding>> {
    let mutants = catalogue::load(workspace)?;
    let named: Vec<&str> = mutants.iter().map(|mutant| mutant.case.as_str()).collect();
    Ok(unproved(files, &named))
}

fn unproved(files: &[TextFile], named: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && file.path.parent() == Some(Path::new(CASES))) {
        for (index, case) in cases_in(&file.text) {
            if !named.iter().any(|name| name.rsplit("::").next() == Some(case)) {
                let message =
                    format!("add a mutant that {case} catches to mutants/*.toml, and see it caught");
                findings.push(Finding::new(&file.path, index + 1, message));
            }
        }
    }
    findings
}

/// Names of the public asynchronous functions, each with the index of its line.
fn cases_in(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let (name, _) = line.trim_start().strip_prefix("pub async fn ")?.split_once(['(', '<'])?;
        Some((index, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    #[test]
    fn a_case_without_a_mutant_is_found() {
        let text = "//! C.\npub async fn a_push_is_seen(ground: &Ground) {}\nasync fn helper() {}\npub async fn a_lease_ends(\n";
        let cases = file("crates/stream-testkit/src/cases/push.rs", text);
        let elsewhere = file("crates/stream-testkit/src/proxy.rs", text);
        let findings = unproved(&[cases, elsewhere], &["conformance::push::a_push_is_seen"]);
        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn a_case_is_named_whole() {
        let cases = file("crates/stream-testkit/src/cases/push.rs", "pub async fn seen(\n");
        assert_eq!(unproved(&[cases], &["conformance::push::is_seen"]).len(), 1);
    }
}
