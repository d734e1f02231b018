//! The copy of the working tree that mutants are applied to, so that the tree itself is never touched.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::workspace::Workspace;

/// A changed file that gets its old content back when this is dropped.
pub(crate) struct Changed {
    path: PathBuf,
    original: String,
}

impl Changed {
    pub(crate) fn write(path: &Path, content: &str) -> Result<Self> {
        let original = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), original })
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        // Written anew rather than with its old time, so that cargo sees that it changed back.
        if let Err(error) = fs::write(&self.path, &self.original) {
            eprintln!("cannot restore {}: {error}", self.path.display());
        }
    }
}

/// Brings `target/mutants/tree` up to date and returns it.
///
/// Files that did not change are left alone: their times stay, and so does what was built from them.
pub(crate) fn copy(workspace: &Workspace) -> Result<PathBuf> {
    let tree = workspace.target.join("mutants/tree");
    fs::create_dir_all(&tree).with_context(|| format!("cannot create {}", tree.display()))?;
    let files = workspace.files()?;
    for file in &files {
        copy_if_different(&workspace.root.join(file), &tree.join(file))?;
    }
    let wanted: BTreeSet<PathBuf> = files.iter().map(|file| tree.join(file)).collect();
    remove_others(&tree, &wanted)?;
    Ok(tree)
}

fn copy_if_different(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(to, content).with_context(|| format!("cannot write {}", to.display()))
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) && path.file_name().is_none_or(|name| name != "Cargo.lock") {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
