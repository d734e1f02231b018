//! Rust files: what each begins with, how long it is, and what no published code contains.

use std::path::{Path, PathBuf};

use super::{Finding, TextFile};

const SOURCE_LINES_MAX: usize = 500;
const TEST_LINES_MAX: usize = 800;

/// A piece of code that library code does not contain, and what to do instead.
struct Forbidden {
    code: &'static str,
    instead: &'static str,
}

const FORBIDDEN: [Forbidden; 6] = [
    Forbidden { code: ".unwrap()", instead: "return the error, or state the invariant with `expect`" },
    Forbidden { code: "todo!", instead: "write it, or take it out" },
    Forbidden { code: "unimplemented!", instead: "write it, or take it out" },
    Forbidden { code: "dbg!", instead: "take it out" },
    Forbidden { code: "println!", instead: "emit a `tracing` event: a library does not print" },
    Forbidden { code: "print!", instead: "emit a `tracing` event: a library does not print" },
];

/// Checks one Rust file; `files` tells which other file declares it as a test module.
pub(super) fn check(file: &TextFile, files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if needs_module_docs(file) && !file.text.starts_with("//!") {
        findings.push(Finding::new(
            &file.path,
            1,
            "begin the file with a `//!` line that says which one thing it does",
        ));
    }
    let Some((name, inside)) = file.in_crate() else { return findings };
    findings.extend(ignored_tests(file));
    let is_source = inside.starts_with("src");
    findings.extend(too_long(file, if is_source { SOURCE_LINES_MAX } else { TEST_LINES_MAX }));
    if is_source && !is_test_module(file, files) {
        findings.extend(forbidden_code(file, name, inside));
    }
    findings
}

fn needs_module_docs(file: &TextFile) -> bool {
    let is_library = file.in_crate().is_some_and(|(_, inside)| inside.starts_with("src"));
    is_library || file.is_below("xtask/src") || file.is_below("examples")
}

fn too_long(file: &TextFile, lines_max: usize) -> Option<Finding> {
    let lines = file.text.lines().count();
    let message =
        || format!("split this file of {lines} lines: one module does one thing, in at most {lines_max}");
    (lines > lines_max).then(|| Finding::new(&file.path, lines, message()))
}

fn ignored_tests(file: &TextFile) -> Vec<Finding> {
    let lines = file.text.lines().enumerate();
    let ignored = lines.filter(|(_, line)| line.trim_start().starts_with("#[ignore"));
    let message = "let the test run: assert today's behaviour and say why it is wrong";
    ignored.map(|(index, _)| Finding::new(&file.path, index + 1, message)).collect()
}

fn forbidden_code(file: &TextFile, name: &str, inside: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in lines_outside_tests(&file.text) {
        let code = line.split("//").next().unwrap_or(line);
        let found = FORBIDDEN.iter().find(|forbidden| contains_word(code, forbidden.code));
        let Some(forbidden) = found.filter(|forbidden| !is_allowed(forbidden.code, name, inside)) else {
            continue;
        };
        let message = format!("remove `{}`: {}", forbidden.code, forbidden.instead);
        findings.push(Finding::new(&file.path, index + 1, message));
    }
    findings
}

/// The testkit's sources are tests themselves, and the command line program prints for its users.
fn is_allowed(code: &str, name: &str, inside: &Path) -> bool {
    let prints = code.ends_with("print!") || code.ends_with("println!");
    match name {
        "stream-testkit" => code == ".unwrap()" || (prints && inside.starts_with("src/cases")),
        "stream-cli" => prints,
        _ => false,
    }
}

/// Whether `code` contains `part` and not just as the end of a longer word, as `eprintln!` contains `println!`.
fn contains_word(code: &str, part: &str) -> bool {
    code.match_indices(part).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        part.starts_with('.') || !before.is_some_and(|sign| sign.is_alphanumeric() || sign == '_')
    })
}

/// The lines outside `#[cfg(test)]` items, with their indices. Relies on rustfmt's indentation.
fn lines_outside_tests(text: &str) -> Vec<(usize, &str)> {
    let mut outside = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            skip_item(&mut lines);
        } else {
            outside.push((index, line));
        }
    }
    outside
}

/// Passes over the item that follows an attribute, up to its `;` or the brace at its own indentation.
fn skip_item<'t>(lines: &mut impl Iterator<Item = (usize, &'t str)>) {
    let is_before_item =
        |line: &&str| line.trim_start().starts_with("#[") || line.trim_start().starts_with("//");
    let mut lines = lines.map(|(_, line)| line).skip_while(is_before_item);
    let Some(first) = lines.next().filter(|first| !first.ends_with([';', '}'])) else { return };
    let indentation = &first[..first.len() - first.trim_start().len()];
    let ends = ["}", "};", ");", "];"].map(|end| format!("{indentation}{end}"));
    let _last = lines.find(|line| ends.iter().any(|end| end == line));
}

/// Whether another file declares this one as `#[cfg(test)] mod name;`.
fn is_test_module(file: &TextFile, files: &[TextFile]) -> bool {
    let candidates =
        file.path.ancestors().filter_map(|path| Some((path.file_stem()?.to_str()?, path.parent()?)));
    let mut declarations = candidates.flat_map(|(module, folder)| {
        declaring_files(folder).map(|path| (path, format!("mod {module};"))).collect::<Vec<_>>()
    });
    declarations.any(|(path, declaration)| {
        files
            .iter()
            .filter(|other| other.path == path)
            .any(|other| declares_for_tests(&other.text, &declaration))
    })
}

/// The files that can declare a module lying in `folder`.
fn declaring_files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let inside = ["lib.rs", "main.rs", "mod.rs"].map(|name| folder.join(name));
    inside.into_iter().chain([folder.with_extension("rs")])
}

fn declares_for_tests(text: &str, declaration: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with(declaration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&file(path, text), &[]).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn every_module_says_what_it_does() {
        for path in ["crates/stream-core/src/a.rs", "xtask/src/a.rs", "examples/a.rs"] {
            assert_eq!(lines(path, "use std::fs;\n"), [1], "{path}");
            assert_eq!(lines(path, "//! Retries.\n"), Vec::<usize>::new(), "{path}");
        }
        assert!(lines("crates/stream-core/tests/a.rs", "use std::fs;\n").is_empty());
    }

    #[test]
    fn forbidden_code_is_found_outside_test_modules_and_comments() {
        let text = "//! A.\nfn f() { a.unwrap(); }\n/// `x.unwrap()`\nfn g() { todo!() }\n#[cfg(test)]\nmod tests {\n    fn h() {\n        a.unwrap();\n    }\n}\nfn i() { dbg!(1); }\n";
        assert_eq!(lines("crates/stream-core/src/a.rs", text), [2, 4, 11]);
    }

    #[test]
    fn a_test_only_item_does_not_hide_what_follows() {
        let text = "//! A.\n#[cfg(test)]\nuse std::fs;\n#[cfg(test)]\nuse std::{\n    io,\n};\n#[cfg(test)]\nfn e() {}\n#[cfg(test)]\n/// Docs.\n#[path = \"x.rs\"]\nmod tests;\nfn f() { a.unwrap(); }\n";
        assert_eq!(lines("crates/stream-core/src/a.rs", text), [14]);
    }

    #[test]
    fn a_longer_name_is_not_forbidden() {
        let text = "//! A.\nfn f() { my_dbg!(1); a.unwrap_or(1); eprintln!(); }\n";
        assert!(lines("crates/stream-core/src/a.rs", text).is_empty());
    }

    #[test]
    fn the_testkit_may_unwrap_and_the_program_may_print() {
        let text = "//! A.\nfn f() { a.unwrap(); }\nfn g() { println!(); }\n";
        assert!(lines("crates/stream-testkit/src/cases/a.rs", text).is_empty());
        assert_eq!(lines("crates/stream-testkit/src/proxy.rs", text), [3]);
        assert_eq!(lines("crates/stream-cli/src/main.rs", text), [2]);
    }

    #[test]
    fn no_test_is_ignored() {
        let text = "//! A.\n#[test]\n#[ignore = \"slow\"]\nfn f() {}\n";
        assert_eq!(lines("crates/stream-core/tests/a.rs", text), [3]);
    }

    #[test]
    fn long_files_are_to_be_split() {
        let text = format!("//! A.\n{}", "\n".repeat(600));
        assert_eq!(lines("crates/stream-core/src/a.rs", &text), [601]);
        assert!(lines("crates/stream-core/tests/a.rs", &text).is_empty());
    }

    #[test]
    fn a_file_declared_for_tests_may_unwrap() {
        let parent = file("crates/stream-core/src/retry.rs", "//! R.\n#[cfg(test)]\nmod tests;\n");
        let child = file("crates/stream-core/src/retry/tests.rs", "//! T.\nfn f() { a.unwrap(); }\n");
        assert_eq!(check(&child, &[]).len(), 1);
        assert!(check(&child, &[parent]).is_empty());
    }
}
