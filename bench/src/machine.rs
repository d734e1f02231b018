//! Where a run took place: machine, versions, load.

use std::{fs, process::Command, thread};

use serde::{Deserialize, Serialize};

/// What does not change during a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) model: String,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
}

/// What the program is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Versions {
    pub(crate) rustc: String,
    /// The commit of the working folder, if git knows one; `-dirty` if files were changed.
    pub(crate) commit: Option<String>,
    /// `name version` of the crates that matter most.
    pub(crate) crates: Vec<String>,
    pub(crate) is_release: bool,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let cpu = read("/proc/cpuinfo");
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kilobytes = memory.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
        Self {
            cores: thread::available_parallelism().map_or(0, usize::from),
            model: field(&cpu, "model name").unwrap_or_else(|| "unknown".to_owned()),
            memory_mib: kilobytes.unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

impl Versions {
    /// With the versions of these crates, as locked.
    pub(crate) fn look(crates: &[&str]) -> Self {
        let locked = env!("STREAM_BENCH_CRATES").split(',');
        let is_named = |line: &&str| line.split(' ').next().is_some_and(|name| crates.contains(&name));
        Self {
            rustc: env!("STREAM_BENCH_RUSTC").to_owned(),
            commit: commit(),
            crates: locked.filter(is_named).map(str::to_owned).collect(),
            is_release: !cfg!(debug_assertions),
        }
    }
}

/// How many processes wanted to run in the last minute, 5 and 15 minutes.
pub(crate) fn load_average() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--tags"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "model\t\t: 106\nmodel name\t: Some CPU @ 2:1\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU @ 2:1"));
        assert_eq!(field(text, "name"), None);
    }

    #[test]
    fn the_crates_that_matter_have_a_version() {
        let versions = Versions::look(&["tokio", "stream-core"]);
        assert_eq!(versions.crates.len(), 2, "{:?}", versions.crates);
        assert!(versions.rustc.starts_with("rustc "));
    }
}
