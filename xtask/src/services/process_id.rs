//! Processes named by pid and start time, so that a reused pid is never taken for the one that was started.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process as unix;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// One process, from its start to its end. A zombie counts as ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pid: u32,
    /// Clock ticks between the start of the machine and that of the process, from `/proc`.
    started: u64,
}

/// What is sent to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Signal {
    Terminate,
    Interrupt,
    Kill,
    Stop,
    Continue,
}

impl Signal {
    /// The word that `kill -s` and `setpriv --pdeathsig` understand.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: u32,
    started: u64,
}

impl ProcessId {
    /// The running process with this pid.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid).filter(Stat::is_running)?;
        Some(Self { pid, started: stat.started })
    }

    /// This program itself.
    pub(crate) fn own() -> Result<Self> {
        Self::of(std::process::id()).context("cannot read /proc: servers are started on Linux only")
    }

    /// Whoever started this program.
    pub(crate) fn parent() -> Result<Self> {
        Self::of(unix::parent_id()).context("the parent of this program has already ended")
    }

    pub(crate) fn pid(self) -> u32 {
        self.pid
    }

    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Whether it was frozen by [`Signal::Stop`].
    pub(crate) fn is_stopped(self) -> bool {
        self.is_alive() && stat(self.pid).is_some_and(|stat| stat.state == 'T')
    }

    /// What the process and everything below it keep in memory; pages that they share count for each.
    pub(crate) fn memory_bytes(self) -> u64 {
        self.tree().iter().filter_map(|process| resident_bytes(process.pid)).sum()
    }

    /// The process and everything below it: PostgreSQL and RabbitMQ do their work in children.
    pub(crate) fn tree(self) -> Vec<Self> {
        if !self.is_alive() {
            return Vec::new();
        }
        let stats = all_stats();
        let pids = descendants(self.pid, &stats);
        pids.iter().filter_map(|pid| Some(Self { pid: *pid, started: stats.get(pid)?.started })).collect()
    }
}

impl Stat {
    fn is_running(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The name of the program stands in brackets and may hold anything, brackets too: what counts follows the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn all_stats() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid).filter(Stat::is_running)?))).collect()
}

fn descendants(root: u32, stats: &BTreeMap<u32, Stat>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(stats.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// Sends a signal to those that still run; one that ends meanwhile is no error.
pub(crate) fn signal(signal: Signal, processes: &[ProcessId]) -> Result<()> {
    let alive = processes.iter().filter(|process| process.is_alive());
    let pids: Vec<String> = alive.map(|process| process.pid.to_string()).collect();
    if pids.is_empty() {
        return Ok(());
    }
    // The shell has `kill` built in, the program of that name is missing on small systems.
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s \"$0\" \"$@\"", signal.word()]).args(pids);
    command.stderr(Stdio::null()).status().context("cannot start `sh` to send a signal")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "4242 (a) b) c) S 17 4242 4242 0 -1 4194560 105 0 0 0 0 0 0 0 20 0 1 0 987654 6000000 90";

    #[test]
    fn a_stat_line_is_read_behind_the_last_bracket() {
        assert_eq!(parse_stat(LINE), Some(Stat { state: 'S', parent: 17, started: 987_654 }));
        assert_eq!(parse_stat("4242 (a) S 17"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn the_same_pid_with_another_start_is_another_process() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        assert!(!ProcessId { started: own.started + 1, ..own }.is_alive());
    }

    #[test]
    fn an_ended_child_is_not_alive_even_before_it_is_waited_for() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessId::of(child.id()).unwrap();
        signal(Signal::Stop, &[process]).unwrap();
        while !process.is_stopped() {
            std::thread::yield_now();
        }
        signal(Signal::Kill, &[process]).unwrap();
        while process.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn a_tree_holds_children_and_grandchildren_only() {
        let stat = |parent| Stat { state: 'S', parent, started: 1 };
        let stats = [(1, stat(0)), (5, stat(1)), (6, stat(5)), (7, stat(6)), (8, stat(1))].into();
        assert_eq!(descendants(5, &stats), [5, 6, 7]);
    }
}
