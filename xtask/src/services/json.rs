//! Small JSON files, written whole or not at all.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value in a file; `None` without the file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    serde_json::from_str(&text).map(Some).with_context(|| format!("{} is not understood", path.display()))
}

/// Replaces the file in one step; only its owner may read it, as it may hold passwords.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_string_pretty(value)?).with_context(context)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).with_context(context)?;
    fs::rename(&new, path).with_context(context)
}

/// Deletes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
