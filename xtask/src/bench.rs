//! `cargo xtask bench`: the benchmarks, built for release, and the instruction budget that CI checks.

use anyhow::Result;

use crate::process::{self, cargo};
use crate::workspace::Workspace;

/// Runs the benchmarks with the words that they understand themselves.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result<()> {
    let mut command =
        cargo(["run", "--quiet", "--release", "-p", "stream-bench", "--bin", "stream-bench", "--"]);
    process::run(command.args(words).current_dir(&workspace.root))
}

/// Fails if a job takes over a tenth more instructions than its budget; says so where valgrind is missing.
pub(crate) fn instructions(workspace: &Workspace) -> Result<()> {
    // The measured program is a binary of its own, which `cargo run` does not build.
    process::run(cargo(["build", "--release", "-p", "stream-bench"]).current_dir(&workspace.root))?;
    run(workspace, &["instructions".to_owned(), "--check".to_owned()])
}
