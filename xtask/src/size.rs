//! The promise that the packaged `stream-core` stays small.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;
use crate::{package, table};

/// The promise is "< 50 KB" for the file that users download.
const LIMIT_BYTES: u64 = 51_200;

/// Packs `stream-core`, prints where its bytes are, fails at the limit.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let files = package::pack(workspace, &["stream-core"])?;
    let file = files.first().context("nothing was packed")?;
    let packed_bytes = fs::metadata(file).with_context(|| format!("no {}", file.display()))?.len();
    let folder = package::unpack(file, &workspace.target.join("size"))?;

    let mut groups = BTreeMap::new();
    count(&folder, &folder, &mut groups)?;
    let rows: Vec<_> = groups.iter().map(|(group, bytes)| vec![group.clone(), bytes.to_string()]).collect();
    print!("{}", table::render(&["unpacked", ">bytes"], &rows));
    println!("stream-core packaged: {packed_bytes} bytes, limit {LIMIT_BYTES}");
    if packed_bytes >= LIMIT_BYTES {
        bail!(
            "stream-core packaged has {packed_bytes} bytes, the promise is less than {LIMIT_BYTES}: simplify it"
        );
    }
    Ok(())
}

/// Adds the bytes of every file below `folder` to its group: `src/consumer`, `src`, or the file's own name.
fn count(root: &Path, folder: &Path, groups: &mut BTreeMap<String, u64>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            count(root, &path, groups)?;
        } else {
            let bytes = fs::metadata(&path)?.len();
            *groups.entry(group_of(path.strip_prefix(root)?)).or_default() += bytes;
        }
    }
    Ok(())
}

fn group_of(file: &Path) -> String {
    let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
    match parts.as_slice() {
        [top, sub, _, ..] => format!("{top}/{sub}"),
        [top, ..] => top.to_string(),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_grouped_by_their_top_folders() {
        assert_eq!(group_of(Path::new("README.md")), "README.md");
        assert_eq!(group_of(Path::new("src/retry.rs")), "src");
        assert_eq!(group_of(Path::new("src/consumer/fetch.rs")), "src/consumer");
        assert_eq!(group_of(Path::new("src/consumer/a/b.rs")), "src/consumer");
    }
}
