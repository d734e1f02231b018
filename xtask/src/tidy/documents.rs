//! Documents: short ones stay short, decision records have one form.

use std::path::Path;

use super::{Finding, TextFile};

const LINES_MAX: [(&str, usize); 2] = [("README.md", 120), ("docs/ARCHITECTURE.md", 180)];
const DECISIONS: &str = "docs/decisions";
const HEADINGS: [&str; 3] = ["## Context", "## Decision", "## Consequences"];

/// Checks the documents with a limit and the decision records.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings: Vec<_> =
        LINES_MAX.iter().filter_map(|(path, max)| too_long(files, path, *max)).collect();
    let decisions: Vec<_> =
        files.iter().filter(|file| file.path.parent() == Some(Path::new(DECISIONS))).collect();
    findings.extend(decisions.iter().flat_map(|file| check_decision(file)));
    findings.extend(gaps(&decisions));
    findings
}

fn too_long(files: &[TextFile], path: &str, lines_max: usize) -> Option<Finding> {
    let Some(file) = files.iter().find(|file| file.path == Path::new(path)) else {
        return Some(Finding::new(path, 1, "write this document"));
    };
    let lines = file.text.lines().count();
    let message =
        || format!("shorten this to {lines_max} lines, it has {lines}: move detail to a page of its own");
    (lines > lines_max).then(|| Finding::new(path, lines, message()))
}

fn check_decision(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    if number_of(&file.path).is_none() {
        findings.push(Finding::new(
            &file.path,
            1,
            "name this NNNN-title-in-lower-case.md, with the next free number",
        ));
    }
    let missing =
        HEADINGS.iter().filter(|heading| !file.text.lines().any(|line| line.trim_end() == **heading));
    findings
        .extend(missing.map(|heading| Finding::new(&file.path, 1, format!("add the section `{heading}`"))));
    findings
}

/// The number of a file named `0001-kebab-case.md`.
fn number_of(path: &Path) -> Option<usize> {
    let (number, title) = path.file_name()?.to_str()?.strip_suffix(".md")?.split_once('-')?;
    let is_kebab = title
        .split('-')
        .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
    let is_number = number.len() == 4 && number.chars().all(|digit| digit.is_ascii_digit());
    if is_kebab && is_number { number.parse().ok() } else { None }
}

/// Records are numbered 1, 2, 3 and so on: each number once.
fn gaps(decisions: &[&TextFile]) -> Vec<Finding> {
    let mut numbered: Vec<_> =
        decisions.iter().filter_map(|file| Some((number_of(&file.path)?, *file))).collect();
    numbered.sort_by_key(|(number, file)| (*number, file.path.clone()));
    let wrong = numbered.iter().zip(1..).find(|((number, _), expected)| number != expected);
    let found = wrong.map(|((_, file), expected)| {
        Finding::new(
            &file.path,
            1,
            format!("number this record {expected:04}: numbers have no gaps and none twice"),
        )
    });
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    const WHOLE: &str = "# T\n\n## Context\n\n## Decision\n\n## Consequences\n";

    fn findings(names: &[&str]) -> Vec<String> {
        let files: Vec<_> = names.iter().map(|name| file(&format!("{DECISIONS}/{name}"), WHOLE)).collect();
        let found = check(&files).into_iter().filter(|finding| finding.path_is_below(DECISIONS));
        found.map(|finding| finding.message).collect()
    }

    impl Finding {
        fn path_is_below(&self, folder: &str) -> bool {
            self.file.starts_with(folder)
        }
    }

    #[test]
    fn records_are_numbered_without_gaps() {
        assert!(findings(&["0001-one-core.md", "0002-lease-30s.md"]).is_empty());
        assert_eq!(findings(&["0001-one.md", "0003-three.md"]).len(), 1);
        assert_eq!(findings(&["0001-one.md", "0001-two.md"]).len(), 1);
    }

    #[test]
    fn records_are_named_in_one_form() {
        for name in ["1-one.md", "0001_one.md", "0001-One.md", "0001-a--b.md", "notes.md"] {
            assert_eq!(findings(&[name]).len(), 1, "{name}");
        }
    }

    #[test]
    fn records_have_their_sections() {
        let record = file("docs/decisions/0001-a.md", "# T\n\n## Context\n\n### Decision\n");
        assert_eq!(check_decision(&record).len(), 2);
    }

    #[test]
    fn long_and_missing_documents_are_found() {
        assert!(too_long(&[file("README.md", &"\n".repeat(120))], "README.md", 120).is_none());
        assert!(too_long(&[file("README.md", &"\n".repeat(121))], "README.md", 120).is_some());
        assert!(too_long(&[], "README.md", 120).is_some());
    }
}
