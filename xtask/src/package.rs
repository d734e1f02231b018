//! Packing crates as they would be uploaded, and unpacking them again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;
use crate::workspace::Workspace;

/// Packs the named crates without building them and returns their `.crate` files, in the same order.
pub(crate) fn pack(workspace: &Workspace, names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut command = process::cargo(["package", "--no-verify", "--allow-dirty", "--quiet"]);
    for name in names {
        command.args(["-p", name]);
    }
    process::run(command.current_dir(&workspace.root))?;
    names.iter().map(|name| crate_file(workspace, name)).collect()
}

fn crate_file(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let version = &workspace.package(name)?.version;
    Ok(workspace.target.join("package").join(format!("{name}-{version}.crate")))
}

/// Unpacks a `.crate` file into `into` and returns the folder of the package.
pub(crate) fn unpack(file: &Path, into: &Path) -> Result<PathBuf> {
    let stem = file.file_stem().context("a packed crate has a name")?;
    let folder = into.join(stem);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(into).with_context(|| format!("cannot create {}", into.display()))?;
    process::output(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(into))?;
    Ok(folder)
}
