//! How one process of a server is started, written down for its keeper.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::process_id::{ProcessId, Signal};

/// A program with everything it needs to run as a server's process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it is started, and where relative paths of its settings begin.
    pub(crate) folder: PathBuf,
    /// User and group to switch to.
    pub(crate) user: Option<(u32, u32)>,
    /// What asks it to end in an orderly way.
    pub(crate) stop_signal: Signal,
    /// How long an orderly end may take before it is killed.
    pub(crate) stop_limit: Duration,
    /// Set for what is no server itself: the others start once it listens on this port.
    pub(crate) helps_on: Option<u16>,
}

/// What a keeper tells about its process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) process: ProcessId,
    pub(crate) keeper: ProcessId,
    /// How it ended, once it has.
    pub(crate) ended: Option<String>,
}

impl Record {
    /// Whether the process runs and somebody would notice its end.
    pub(crate) fn is_kept(&self) -> bool {
        self.process.is_alive() && self.keeper.is_alive()
    }
}

impl Launch {
    pub(crate) fn new(program: impl Into<PathBuf>, folder: &Path) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            folder: folder.to_owned(),
            user: None,
            stop_signal: Signal::Terminate,
            stop_limit: Duration::from_secs(20),
            helps_on: None,
        }
    }

    pub(crate) fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn stopped_by(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    pub(crate) fn helping_on(mut self, port: u16) -> Self {
        self.helps_on = Some(port);
        self
    }

    pub(crate) fn is_helper(&self) -> bool {
        self.helps_on.is_some()
    }

    /// The command as the right user. It runs under the pid that it is started with: `setpriv` makes way for it.
    pub(crate) fn command(&self) -> Command {
        self.wrapped(&[])
    }

    /// The same, and asked to end when its parent dies without having said so.
    pub(crate) fn command_dying_with_parent(&self) -> Command {
        self.wrapped(&["--pdeathsig", self.stop_signal.word()])
    }

    fn wrapped(&self, words: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(words);
        if let Some((user, group)) = self.user {
            command.args([
                format!("--reuid={user}"),
                format!("--regid={group}"),
                "--clear-groups".to_owned(),
            ]);
        }
        if words.is_empty() && self.user.is_none() {
            command = Command::new(&self.program);
        } else {
            command.arg("--").arg(&self.program);
        }
        command.args(&self.arguments).envs(&self.environment).current_dir(&self.folder);
        command
    }
}

/// The files of one process in its server's folder.
#[derive(Debug, Clone)]
pub(crate) struct ProcessFiles {
    folder: PathBuf,
    label: String,
}

impl ProcessFiles {
    pub(crate) fn new(folder: &Path, label: &str) -> Self {
        Self { folder: folder.to_owned(), label: label.to_owned() }
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.label))
    }

    /// The [`Launch`].
    pub(crate) fn launch(&self) -> PathBuf {
        self.file("launch.json")
    }

    /// The [`Record`]. A keeper whose record is deleted ends its process.
    pub(crate) fn record(&self) -> PathBuf {
        self.file("process.json")
    }

    /// The process whose end ends this one; without this file it runs until it is told to end.
    pub(crate) fn owner(&self) -> PathBuf {
        self.file("owner.json")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.file("log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<&str> {
        [command.get_program()]
            .into_iter()
            .chain(command.get_args())
            .filter_map(|word| word.to_str())
            .collect()
    }

    #[test]
    fn a_server_changes_its_user_and_ends_with_its_keeper() {
        let mut launch = Launch::new("/bin/a", Path::new("/")).args(["-x"]).stopped_by(Signal::Interrupt);
        assert_eq!(words(&launch.command()), ["/bin/a", "-x"]);
        launch.user = Some((7, 8));
        assert_eq!(
            words(&launch.command_dying_with_parent()),
            [
                "setpriv",
                "--pdeathsig",
                "INT",
                "--reuid=7",
                "--regid=8",
                "--clear-groups",
                "--",
                "/bin/a",
                "-x"
            ]
        );
    }

    #[test]
    fn a_launch_survives_its_file() {
        let launch = Launch::new("/bin/a", Path::new("/x")).args(["-y"]).env("A", "b").helping_on(7);
        let read: Launch = serde_json::from_str(&serde_json::to_string(&launch).unwrap()).unwrap();
        assert_eq!(words(&read.command()), ["/bin/a", "-y"]);
        assert!(read.is_helper() && read.environment["A"] == "b");
    }

    #[test]
    fn a_process_is_kept_while_both_live() {
        let own = ProcessId::own().unwrap();
        let gone: ProcessId = serde_json::from_str(r#"{"pid": 1, "started": 18446744073709551615}"#).unwrap();
        let record = |process, keeper| Record { process, keeper, ended: None };
        assert!(record(own, own).is_kept());
        assert!(!record(own, gone).is_kept());
        assert!(!record(gone, own).is_kept());
    }
}
