//! `cargo xtask tidy`: the rules of the project that a program can check.

mod arrows;
mod documents;
mod layout;
mod lessons;
mod lib_file;
mod manifests;
mod proofs;
mod source;
mod text;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// The crates that speak to a store.
const DRIVERS: [&str; 6] =
    ["stream-memory", "stream-database", "stream-redis", "stream-kafka", "stream-sqs", "stream-rabbitmq"];

/// One broken rule: where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: PathBuf,
    line: usize,
    message: String,
}

impl Finding {
    fn new(file: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// A text file of the project, its path relative to the root.
#[derive(Debug)]
struct TextFile {
    path: PathBuf,
    text: String,
}

impl TextFile {
    fn is_below(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "rs")
    }

    /// The crate's name and the path inside it, for files such as `crates/stream-core/src/retry.rs`.
    fn in_crate(&self) -> Option<(&str, &Path)> {
        let rest = self.path.strip_prefix("crates").ok()?;
        let name = rest.iter().next()?.to_str()?;
        Some((name, rest.strip_prefix(name).ok()?))
    }
}

/// Prints every broken rule and fails if there is one.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let findings = check(workspace)?;
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} broken rules", findings.len());
    }
    println!("tidy");
    Ok(())
}

fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let files = text_files(workspace)?;
    let mut findings = arrows::check(workspace);
    findings.extend(manifests::check(workspace, &files)?);
    findings.extend(layout::check(workspace, &files));
    findings.extend(documents::check(&files));
    findings.extend(lessons::check(&files));
    findings.extend(proofs::check(workspace, &files)?);
    for file in &files {
        findings.extend(text::check(file));
        if file.is_rust() {
            findings.extend(source::check(file, &files));
            findings.extend(lib_file::check(file));
        }
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// Every file that git knows and that is text.
fn text_files(workspace: &Workspace) -> Result<Vec<TextFile>> {
    let files = workspace.files()?.into_iter().filter_map(|path| {
        let text = String::from_utf8(fs::read(workspace.root.join(&path)).ok()?).ok()?;
        Some(TextFile { path, text })
    });
    Ok(files.collect())
}

/// The number of the first line of a manifest that is this table or begins with this key, or 1.
fn line_of_key(manifest: &str, key: &str) -> usize {
    let is_it = |line: &str| {
        line.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ', '=']))
    };
    manifest.lines().position(is_it).map_or(1, |index| index + 1)
}

#[cfg(test)]
fn file(path: &str, text: &str) -> TextFile {
    TextFile { path: path.into(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_first() {
        let finding = Finding::new("crates/a/src/b.rs", 7, "do this");
        assert_eq!(finding.to_string(), "crates/a/src/b.rs:7: do this");
    }

    #[test]
    fn a_key_is_found_whole() {
        let manifest = "[dependencies]\nserde_json.workspace = true\nserde = \"1\"\n";
        assert_eq!(line_of_key(manifest, "serde"), 3);
        assert_eq!(line_of_key(manifest, "[dependencies]"), 1);
        assert_eq!(line_of_key(manifest, "serde_json"), 2);
    }

    #[test]
    fn a_file_knows_its_crate() {
        let source = file("crates/stream-core/src/consumer/fetch.rs", "");
        assert_eq!(source.in_crate(), Some(("stream-core", Path::new("src/consumer/fetch.rs"))));
        assert_eq!(file("xtask/src/main.rs", "").in_crate(), None);
    }
}
