//! Where things lie: each driver crate has the same four files.

use super::{DRIVERS, Finding, TextFile};
use crate::workspace::Workspace;

const DRIVER_FILES: [&str; 4] = ["lib.rs", "config.rs", "driver.rs", "error.rs"];

/// Checks each driver crate that exists.
pub(super) fn check(workspace: &Workspace, files: &[TextFile]) -> Vec<Finding> {
    let drivers = workspace.crates().filter(|package| DRIVERS.contains(&package.name.as_str()));
    drivers.flat_map(|package| missing_files(&package.name, files)).collect()
}

fn missing_files(driver: &str, files: &[TextFile]) -> Vec<Finding> {
    let wanted = DRIVER_FILES.iter().map(|name| (name, format!("crates/{driver}/src/{name}")));
    let missing = wanted.filter(|(_, path)| !files.iter().any(|file| file.path.as_os_str() == path.as_str()));
    let found = missing.map(|(name, path)| {
        Finding::new(path, 1, format!("write {name}: every driver has {}", DRIVER_FILES.join(", ")))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    #[test]
    fn each_missing_file_of_a_driver_is_named() {
        let paths = ["lib.rs", "driver.rs", "error.rs"].map(|name| format!("crates/stream-redis/src/{name}"));
        let files: Vec<_> = paths.iter().map(|path| file(path, "")).collect();
        let findings = missing_files("stream-redis", &files);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].to_string().starts_with("crates/stream-redis/src/config.rs:1: write config.rs"));
    }
}
