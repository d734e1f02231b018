//! One server of an instance: its folder, ports and password, and the small things every store's module needs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::install::jars::Jars;
use super::install::{download, programs};
use super::launch::{Launch, ProcessFiles};
use super::service::{Process, Service};
use super::user::User;
use crate::process::{self, Ended, Errors};

/// A question to a server that works is answered sooner.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// Filling a data folder takes a few seconds on an idle machine.
const PREPARE_LIMIT: Duration = Duration::from_secs(120);

/// Lines of a log that are shown when something failed.
pub(crate) const TAIL_LINES: usize = 15;

/// Whether what was acknowledged is on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Durability {
    #[default]
    Synced,
    /// Faster; neither for crash tests nor for numbers that are reported.
    Unsynced,
}

/// What starts a server and what answers for its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Engine {
    #[default]
    Native,
    Compose,
}

/// What was chosen once for a server and is kept over restarts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Choices {
    pub(crate) ports: BTreeMap<String, u16>,
    pub(crate) password: String,
    pub(crate) durability: Durability,
    pub(crate) engine: Engine,
}

/// A service in an instance's folder.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) service: &'static dyn Service,
    pub(crate) folder: PathBuf,
    /// Where programs and jars lie that are no packages and that every user can read.
    pub(crate) shared: PathBuf,
    pub(crate) choices: Choices,
}

impl Server {
    pub(crate) fn port(&self, name: &str) -> u16 {
        *self.choices.ports.get(name).expect("every port of a service is chosen before it is used")
    }

    /// The port that clients connect to.
    pub(crate) fn main_port(&self) -> u16 {
        self.port(self.service.ports()[0])
    }

    pub(crate) fn password(&self) -> &str {
        &self.choices.password
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.choices.durability == Durability::Synced
    }

    /// Belongs to the server's user, and survives `kill` and `restart`.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn files(&self, label: &str) -> ProcessFiles {
        ProcessFiles::new(&self.folder, label)
    }

    /// A program as the server's user, started in the data folder.
    pub(crate) fn launch(&self, program: &str) -> Result<Launch> {
        let mut launch = Launch::new(programs::find(program)?, &self.data());
        let user = User::to_switch_to(self.service.user())?;
        launch.user = user.map(|user| (user.user, user.group));
        // The home of the calling user may be closed to the server's.
        Ok(launch.env("HOME", self.data().display().to_string()))
    }

    /// A class from these jars, with these options for the virtual machine before it.
    pub(crate) fn java(&self, jars: &Jars, options: &[&str], class: &str) -> Result<Launch> {
        let class_path = format!("{}/*", download::in_folder(jars, &self.shared).display());
        let launch = self.launch("java")?.args(options.iter().copied());
        // Serial collection and a quick compiler: tests want a fast start and a small server.
        let small = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"];
        Ok(launch.args(small).args(["-cp", &class_path, class]))
    }

    /// The usual server of one process.
    pub(crate) fn only(&self, launch: Launch) -> Vec<Process> {
        vec![Process { label: "server".to_owned(), launch }]
    }

    /// Writes a settings file that the server's user alone can read; returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        self.give_to_user(&path)?;
        Ok(path.display().to_string())
    }

    /// Makes a folder below the data folder.
    pub(crate) fn data_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.data().join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        self.give_to_user(&folder)?;
        Ok(folder)
    }

    pub(crate) fn give_to_user(&self, path: &Path) -> Result<()> {
        User::to_switch_to(self.service.user())?.map_or(Ok(()), |user| user.own(path))
    }

    /// Runs a program that prepares the server to its end.
    pub(crate) fn run_to_end(&self, launch: &Launch) -> Result<()> {
        ask(launch.command(), PREPARE_LIMIT).map(drop)
    }

    /// Asks the server through one of its own clients; returns what that printed.
    pub(crate) fn ask(&self, client: Command) -> Result<String> {
        ask(client, ASK_LIMIT)
    }
}

fn ask(command: Command, limit: Duration) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut lines = Vec::new();
    match process::stream(command, Errors::ReadToo, limit, |line| lines.push(line.to_owned()))? {
        Ended::Exited(status) if status.success() => Ok(lines.join("\n")),
        Ended::Exited(status) => {
            let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            bail!("{program} ended with {status}: {}", last.join(" / "))
        }
        Ended::TimedOut => bail!("{program} gave no answer within {} s", limit.as_secs()),
    }
}

/// The end of a log, for a message.
pub(crate) fn tail(log: &Path, count: usize) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
