//! A child process that never outlives its test.

use std::{
    env,
    fs::OpenOptions,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::orders::{CHILD_VARIABLE, Orders};

/// A child ends itself after this time, should its test be unable to.
pub(super) const CHILD_LIMIT: Duration = Duration::from_secs(100);
/// What all children of a test write to their standard error, in its folder.
pub(super) const COMPLAINTS: &str = "complaints";

const SIGKILL: i32 = 9;
const POLL: Duration = Duration::from_millis(2);

/// What is the same for all children of a test.
#[derive(Debug)]
pub(super) struct Troupe {
    /// The whole name of the test that is the entry of child processes.
    pub(super) entry: String,
    pub(super) variables: Vec<(String, String)>,
}

/// A child process; killed on drop.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
}

/// How a child has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Killed,
    Failed(ExitStatus),
}

impl Troupe {
    pub(super) fn start(&self, orders: &Orders) -> Process {
        let complaints = OpenOptions::new().create(true).append(true).open(orders.folder.join(COMPLAINTS));
        let child = Command::new(env::current_exe().expect("the test binary has a path"))
            .args(["--exact", &self.entry, "--nocapture"])
            .env(CHILD_VARIABLE, orders.to_text())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(complaints.expect("the folder can be written"))
            .spawn();
        Process { child: child.expect("the test binary starts") }
    }
}

impl Process {
    /// How it ended, if it has.
    pub(super) fn try_end(&mut self) -> Option<End> {
        self.child.try_wait().expect("the child can be waited for").map(End::of)
    }

    /// SIGKILL, from outside; how it ended, since it may have done so before.
    pub(super) fn kill(&mut self) -> End {
        self.child.kill().expect("the child can be killed");
        End::of(self.child.wait().expect("the child can be waited for"))
    }

    /// Tells it to finish and waits for that; none if it does not within `limit`.
    pub(super) fn finish(&mut self, limit: Duration) -> Option<End> {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + limit;
        loop {
            let end = self.try_end();
            if end.is_some() || Instant::now() > deadline {
                return end;
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl End {
    fn of(status: ExitStatus) -> Self {
        match status.signal() {
            Some(SIGKILL) => Self::Killed,
            _ if status.success() => Self::Finished,
            _ => Self::Failed(status),
        }
    }
}
