//! Which user a server runs as: its own unprivileged one where we are root, else whoever we are.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, Result};

/// For servers that bring no user of their own.
pub(crate) const NOBODY: &str = "nobody";

/// Numbers of a user of this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl User {
    /// The user to switch to; `None` where we are not root and so stay who we are.
    pub(crate) fn to_switch_to(name: &str) -> Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read the users of this system")?;
        let user = find(&users, name).or_else(|| find(&users, NOBODY));
        user.map(Some).with_context(|| format!("this system has neither a user {name} nor {NOBODY}"))
    }

    /// Gives a file or folder to this user.
    pub(crate) fn own(self, path: &Path) -> Result<()> {
        let owned = chown(path, Some(self.user), Some(self.group));
        owned.with_context(|| format!("cannot give {} to another user", path.display()))
    }
}

/// Whether we may start programs as other users.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether a folder is one of ours and no link to elsewhere.
pub(crate) fn is_own(folder: &Path) -> bool {
    let own = fs::metadata("/proc/self").map(|own| own.uid());
    fs::symlink_metadata(folder)
        .is_ok_and(|folder| folder.is_dir() && own.is_ok_and(|own| own == folder.uid()))
}

fn find(users: &str, name: &str) -> Option<User> {
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.first() == Some(&name))?;
    Some(User { user: fields.get(2)?.parse().ok()?, group: fields.get(3)?.parse().ok()? })
}

/// Whether other users can reach what lies in this folder.
pub(crate) fn is_reachable_by_others(folder: &Path) -> bool {
    folder.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|folder| folder.mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "root:x:0:0::/:/bin/sh\nredis-x:x:7:7::/:/bin/sh\nredis:x:101:104::/:/bin/sh\n";
        assert_eq!(find(users, "redis"), Some(User { user: 101, group: 104 }));
        assert_eq!(find(users, "kafka"), None);
        assert_eq!(find("redis:x\n", "redis"), None);
    }
}
