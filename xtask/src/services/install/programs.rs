//! Finding programs: on the path, and where packages hide those that people do not call.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const POSTGRES: &str = "/usr/lib/postgresql";

/// Searched before the path: what lies on the path under these names changes user and folder by itself.
const RABBITMQ: &str = "/usr/lib/rabbitmq/bin";

/// Not on everybody's path.
const SYSTEM: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The file of a program, or a message that names it.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    look_for(name).with_context(|| format!("the program {name} is missing"))
}

/// The file of a program.
pub(crate) fn look_for(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = postgres_folders().into_iter().chain([PathBuf::from(RABBITMQ)]);
    let folders = folders.chain(env::split_paths(&path)).chain(SYSTEM.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The programs of each installed PostgreSQL, the newest first.
fn postgres_folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(POSTGRES).into_iter().flatten().flatten();
    let versions = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    newest_first(versions.collect())
        .iter()
        .map(|version| Path::new(POSTGRES).join(version).join("bin"))
        .collect()
}

fn newest_first(mut versions: Vec<u32>) -> Vec<String> {
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(u32::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_not_words() {
        assert_eq!(newest_first(vec![9, 17, 15]), ["17", "15", "9"]);
    }

    #[test]
    fn a_missing_program_is_named() {
        assert!(look_for("sh").is_some());
        assert!(find("no-such-program").unwrap_err().to_string().contains("no-such-program"));
    }
}
