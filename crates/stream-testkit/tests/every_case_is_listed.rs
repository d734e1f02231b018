//! The list of cases and the cases agree.

use std::{collections::BTreeSet, fs, path::Path};

/// A case as `group::case`.
type Case = String;

#[test]
fn every_case_is_listed_and_every_listed_case_exists() {
    let written: Vec<Case> = written();
    let listed: Vec<Case> = listed();
    assert!(written.len() > 50, "only {} cases were found: is the test still reading them?", written.len());
    let (written, listed) = (BTreeSet::from_iter(written), BTreeSet::from_iter(listed));
    let missing: Vec<_> = written.difference(&listed).collect();
    assert!(missing.is_empty(), "not in `for_each_case!`: {missing:?}");
    let unknown: Vec<_> = listed.difference(&written).collect();
    assert!(unknown.is_empty(), "in `for_each_case!` without a function: {unknown:?}");
}

#[test]
fn no_case_is_listed_twice() {
    let mut names: Vec<_> = listed().iter().map(|case| case.split("::").last().unwrap().to_owned()).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Each `pub async fn` of the modules under `src/cases`.
fn written() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(source().join("cases")).expect("the cases are there") {
        let path = entry.expect("an entry").path();
        let group = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("cases are text");
        let functions = text.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        cases.extend(functions.map(|rest| format!("{group}::{}", word(rest))));
    }
    cases
}

/// Each case in the list of `for_each_case!`, which has `group:` before its cases.
fn listed() -> Vec<Case> {
    let text = fs::read_to_string(source().join("cases.rs")).expect("the list is there");
    let (_, list) = text.split_once("$crate::__tests! { $setup;").expect("the list begins");
    let (list, _) = list.split_once('}').expect("the list ends");
    let mut cases = Vec::new();
    for group in list.split(';').filter(|group| !group.trim().is_empty()) {
        let (name, members) = group.split_once(':').expect("a group has a name");
        let members = members.split(',').map(str::trim).filter(|member| !member.is_empty());
        cases.extend(members.map(|case| format!("{}::{case}", name.trim())));
    }
    cases
}

fn source() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

fn word(text: &str) -> &str {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
}
