//! What comes from elsewhere than the system's packages: fetched once into a cache, shared from there.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;

/// Something that is fetched into a folder of its own.
pub(crate) trait Download: Debug + Sync {
    /// Names the folder: what it is and in which version.
    fn folder_name(&self) -> String;

    /// How it is fetched, for a person to read.
    fn shown(&self) -> String;

    /// Fetches it into this empty folder.
    fn fetch_into(&self, folder: &Path) -> Result<()>;
}

/// Outside `target`, so that cleaning the project does not cost a download.
fn cached(download: &dyn Download) -> Result<PathBuf> {
    Ok(super::cache_folder()?.join("servers").join(download.folder_name()))
}

/// Whether it was fetched before.
pub(crate) fn is_there(download: &dyn Download) -> bool {
    cached(download).is_ok_and(|folder| folder.is_dir())
}

/// Fetches it into the cache.
pub(crate) fn fetch(download: &dyn Download) -> Result<()> {
    let folder = cached(download)?;
    build(&folder, |building| {
        fs::create_dir_all(building).context("cannot create the cache of servers")?;
        download.fetch_into(building)
    })
}

/// Where it lies below the folder that the servers' users can read.
pub(crate) fn in_folder(download: &dyn Download, shared: &Path) -> PathBuf {
    shared.join(download.folder_name())
}

/// Links or copies it from the cache to `shared`: the cache may be closed to a server's user.
pub(crate) fn share(download: &dyn Download, shared: &Path) -> Result<()> {
    let target = in_folder(download, shared);
    if target.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(shared).context("cannot create the folder of servers")?;
    let cached = cached(download)?;
    build(&target, |building| {
        let copy = |how: &str| {
            process::output(Command::new("cp").arg(how).arg(&cached).arg(building))
                .context("cannot copy a server")
        };
        // A link costs nothing, and is possible within one file system only.
        if copy("-al").is_err() {
            fs::remove_dir_all(building).ok();
            copy("-a")?;
        }
        process::output(Command::new("chmod").args(["-R", "a+rX"]).arg(building)).map(drop)
    })
}

/// Builds a folder beside its place and moves it there, so that one with its final name is whole.
fn build(folder: &Path, build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let building = folder.with_file_name(format!("new-{name}-{}", std::process::id()));
    let moved = build(&building).and_then(|()| fs::rename(&building, folder).context("cannot move a folder"));
    if moved.is_err() {
        fs::remove_dir_all(&building).ok();
    }
    // Another run may have been faster.
    if folder.is_dir() { Ok(()) } else { moved }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_only_once_it_is_whole() {
        let folder = std::env::temp_dir().join(format!("xtask-build-{}", std::process::id()));
        let failed = build(&folder, |building| {
            fs::create_dir_all(building)?;
            anyhow::bail!("no network")
        });
        assert!(failed.is_err() && !folder.exists());
        build(&folder, |building| Ok(fs::create_dir_all(building)?)).unwrap();
        assert!(folder.is_dir());
        fs::remove_dir_all(&folder).unwrap();
    }
}
