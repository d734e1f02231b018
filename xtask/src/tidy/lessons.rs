//! The lessons of others name tests that exist: a lesson without its test is forgotten.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Finding, TextFile};

const LESSONS: &str = "docs/lessons.md";

/// The modules that a test's name in the document begins with.
const BEGINNINGS: [&str; 7] = ["conformance", "consumer", "crash", "fault", "own", "soak", "backoff"];

/// Compares the names in the document with the functions and cases in the sources.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let Some(lessons) = files.iter().find(|file| file.path == Path::new(LESSONS)) else {
        return vec![Finding::new(LESSONS, 1, "write this document")];
    };
    let tests: BTreeSet<&str> = files.iter().filter(|file| file.is_rust()).flat_map(tests_in).collect();
    let named = lessons.text.lines().enumerate().flat_map(|(at, line)| {
        let names = line.split('`').skip(1).step_by(2).filter(|name| is_test(name));
        names.map(move |name| (at + 1, name))
    });
    let missing = named.filter(|(_, name)| !tests.contains(last(name)));
    missing.map(|(line, name)| Finding::new(LESSONS, line, format!("no test is named {name}"))).collect()
}

fn is_test(name: &str) -> bool {
    let begins = name.split_once("::").is_some_and(|(first, _)| BEGINNINGS.contains(&first));
    begins && !name.ends_with('\u{2026}')
}

fn last(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

/// Functions, and the cases that the macro of the crash tier makes of `name: At(..)`.
fn tests_in(file: &TextFile) -> impl Iterator<Item = &str> {
    file.text.lines().filter_map(|line| {
        let line = line.trim_start();
        let function = line.split_once("fn ").and_then(|(before, rest)| {
            let is_item = ["", "pub ", "async ", "pub async "].contains(&before);
            is_item.then(|| rest.split(['(', '<']).next()).flatten()
        });
        function.or_else(|| line.split_once(": At(").map(|(name, _)| name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    #[test]
    fn a_name_that_is_no_test_is_found() {
        let lessons = "`conformance::a` and `consumer::x::b`\n`conformance::gone`, `Driver::push`, `crash::\u{2026}`\n`crash::c`\n";
        let files = [
            file(LESSONS, lessons),
            file("a.rs", "pub async fn a(stage: Stage) {\n    async fn b() {\n    c: At(Push),\n"),
        ];
        let findings = check(&files);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].to_string(), "docs/lessons.md:2: no test is named conformance::gone");
    }
}
