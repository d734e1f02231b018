//! Any text file: no folder of somebody's machine, no unfinished work without an issue.

use super::{Finding, TextFile};

/// Top folders that differ from machine to machine; the closing slash is added so that this file is clean itself.
const MACHINE_FOLDERS: [&str; 4] = ["/work", "/root", "/home", "/Users"];

/// Marks of unfinished work, in two halves for the same reason.
const MARKS: [(&str, &str); 2] = [("TO", "DO"), ("FIX", "ME")];

/// Files that hold paths and marks as data.
const FIXTURES: [&str; 3] = ["fixtures", "golden", "snapshots"];

/// Checks one file line by line.
pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    if file.path.iter().any(|part| FIXTURES.iter().any(|fixture| part == *fixture)) {
        return Vec::new();
    }
    let has_marks = file.path.extension().is_some_and(|extension| extension == "rs" || extension == "toml");
    let found = file.text.lines().enumerate().filter_map(|(index, line)| {
        let message =
            machine_path(line).or_else(|| if has_marks { mark_without_issue(line) } else { None })?;
        Some(Finding::new(&file.path, index + 1, message))
    });
    found.collect()
}

fn machine_path(line: &str) -> Option<String> {
    let folder = MACHINE_FOLDERS.iter().find(|folder| begins_path(line, &format!("{folder}/")))?;
    Some(format!("replace the path below `{folder}` by one relative to the repository, or by a setting"))
}

/// Whether an absolute path starts with `folder` in this line; inside a longer path or address it is just a name.
fn begins_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|sign| sign.is_alphanumeric() || "._-/~*}>".contains(sign))
    })
}

fn mark_without_issue(line: &str) -> Option<String> {
    let mark = MARKS.iter().map(|(start, end)| format!("{start}{end}")).find(|mark| has_word(line, mark))?;
    let has_issue = line.split('#').skip(1).any(|rest| rest.starts_with(|sign: char| sign.is_ascii_digit()));
    (!has_issue).then(|| format!("open an issue and write `{mark}(#number)`, or do it now"))
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|sign: char| !sign.is_alphanumeric() && sign != '_').any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&file(path, text)).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn absolute_machine_paths_are_found() {
        let home = format!("{}/me/x", MACHINE_FOLDERS[2]);
        assert_eq!(lines("docs/a.md", &format!("fine\nsee {home}\n`{home}`\n{home}\n")), [2, 3, 4]);
    }

    #[test]
    fn the_same_words_inside_other_paths_are_fine() {
        let text = format!("https://example.org{0}/x\nsrc{0}/x\n{0}run\n", MACHINE_FOLDERS[2]);
        assert!(lines("docs/a.md", &text).is_empty());
    }

    #[test]
    fn fixtures_may_hold_anything() {
        let text = format!("{}/me\n", MACHINE_FOLDERS[2]);
        assert!(lines("crates/stream-core/tests/fixtures/a.txt", &text).is_empty());
    }

    #[test]
    fn unfinished_work_names_its_issue() {
        let mark = format!("{}{}", MARKS[0].0, MARKS[0].1);
        let text = format!("// {mark} later\n// {mark}(#12): later\n// {mark}S are fine\n");
        assert_eq!(lines("crates/stream-core/src/a.rs", &text), [1]);
        assert!(lines("docs/a.md", &text).is_empty());
    }
}
