//! `lib.rs` is a table of contents: docs, attributes, modules and re-exports, no code.

use super::{DRIVERS, Finding, TextFile};

/// How the lines that may begin a statement in `lib.rs` begin.
const ALLOWED: [&str; 8] =
    ["//", "#", "mod ", "pub mod ", "pub(crate) mod ", "use ", "pub use ", "pub(crate) use "];

/// Checks `lib.rs` of the core and of each driver.
pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    let is_checked = |name: &str| name == "stream-core" || DRIVERS.contains(&name);
    match file.in_crate() {
        Some((name, inside)) if is_checked(name) && inside.as_os_str() == "src/lib.rs" => code_in(file),
        _ => Vec::new(),
    }
}

fn code_in(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut depth = 0_i32;
    for (index, line) in file.text.lines().enumerate() {
        let begins_statement = depth == 0 && !line.trim().is_empty() && !is_closing(line);
        let is_comment = line.trim_start().starts_with("//");
        if begins_statement && !ALLOWED.iter().any(|start| line.starts_with(start)) {
            findings.push(Finding::new(
                &file.path,
                index + 1,
                "move this into a module of its own: lib.rs holds docs and re-exports only",
            ));
        }
        if begins_statement && line.contains("mod ") && line.trim_end().ends_with('{') && !is_comment {
            findings.push(Finding::new(
                &file.path,
                index + 1,
                "give this module a file of its own: lib.rs holds docs and re-exports only",
            ));
        }
        if !is_comment {
            depth += balance(line);
        }
    }
    findings
}

fn is_closing(line: &str) -> bool {
    line.starts_with(['}', ')', ']'])
}

/// How many brackets of any kind a line leaves open.
fn balance(line: &str) -> i32 {
    let value = |sign: char| match sign {
        '(' | '[' | '{' => 1,
        ')' | ']' | '}' => -1,
        _ => 0,
    };
    line.chars().map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    fn lines(text: &str) -> Vec<usize> {
        code_in(&file("crates/stream-core/src/lib.rs", text))
            .into_iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn docs_attributes_modules_and_exports_are_fine() {
        let text = "//! Docs (with a bracket\n#![cfg_attr(\n    docsrs,\n    feature(doc_cfg)\n)]\n\nmod a;\n#[cfg(feature = \"worker\")]\npub mod b;\npub use a::{\n    A,\n    B,\n};\n";
        assert_eq!(lines(text), Vec::<usize>::new());
    }

    #[test]
    fn code_and_inline_modules_are_found_once_each() {
        let text = "//! Docs\nmod a;\npub fn f() {\n    g();\n}\npub mod b {\n    pub use x::y;\n}\nconst X: u8 = 1;\n";
        assert_eq!(lines(text), [3, 6, 9]);
    }

    #[test]
    fn only_the_core_and_drivers_are_held_to_it() {
        let code = "fn f() {}\n";
        assert_eq!(check(&file("crates/stream-redis/src/lib.rs", code)).len(), 1);
        assert!(check(&file("crates/stream-redis/src/keys.rs", code)).is_empty());
        assert!(check(&file("crates/stream-testkit/src/lib.rs", code)).is_empty());
    }
}
