//! Licences, bans and sources of all dependencies, by cargo-deny; it is installed once if it is missing.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::process;
use crate::services::install;
use crate::workspace::Workspace;

/// Fixed, so that a new release does not fail an old commit.
const VERSION: &str = "0.20.2";

/// Runs the checks that need no advisory database.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let mut command = Command::new(installed()?);
    command.args(["--all-features", "check", "bans", "licenses", "sources"]);
    process::run(command.current_dir(&workspace.root))
}

/// The program on the path, else in our own folder, where it is installed if need be.
fn installed() -> Result<PathBuf> {
    let on_path = PathBuf::from("cargo-deny");
    if is_right_version(&on_path) {
        return Ok(on_path);
    }
    let tools = install::cache_folder()?;
    let own = tools.join("bin/cargo-deny");
    if !is_right_version(&own) {
        let words = ["install", "--debug", "--locked", "cargo-deny", "--root"];
        let mut install = process::cargo(words);
        // A folder of its own for what is built on the way, or it would stay in the project's.
        install.arg(&tools).arg(format!("--version={VERSION}")).env_remove("CARGO_TARGET_DIR");
        process::run(&mut install)?;
    }
    Ok(own)
}

fn is_right_version(program: &PathBuf) -> bool {
    let output = Command::new(program).arg("--version").stderr(Stdio::null()).output();
    output.is_ok_and(|output| names_version(&String::from_utf8_lossy(&output.stdout)))
}

/// Whether `cargo-deny 0.20.2` is what a program calls itself.
fn names_version(words: &str) -> bool {
    words.split_whitespace().any(|word| word == VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fixed_version_is_used() {
        assert!(names_version("cargo-deny 0.20.2\n"));
        assert!(!names_version("cargo-deny 0.20.20\n"));
        assert!(!names_version(""));
    }
}
