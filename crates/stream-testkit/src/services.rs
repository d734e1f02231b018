//! Real servers for one test alone, to be killed, frozen and restarted.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::Skip;

/// Names the program that starts servers; `cargo xtask test-drivers` sets it.
const PROGRAM: &str = "STREAM_TEST_XTASK";

/// A server that nobody else uses; it ends with this value, and with this process.
///
/// The calls block until the server has obeyed: from an async test, call them in `spawn_blocking` or
/// accept that the thread waits.
///
/// ```no_run
/// # fn example() -> Result<(), stream_testkit::Skip> {
/// let mut redis = stream_testkit::services::PrivateServer::start("redis")?;
/// let url = redis.variable("STREAM_TEST_REDIS_URL").to_owned();
/// redis.kill();
/// redis.restart();
/// # drop(url); Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PrivateServer {
    child: Child,
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
    variables: BTreeMap<String, String>,
}

impl PrivateServer {
    /// Starts a server by its name in `cargo xtask services` and waits until it answers.
    ///
    /// # Errors
    /// A [`Skip`] where no program is named that could start it.
    ///
    /// # Panics
    /// If the program is named and the server does not start.
    pub fn start(name: &str) -> Result<Self, Skip> {
        let program = env::var_os(PROGRAM).filter(|program| !program.is_empty());
        let program = program.ok_or_else(|| {
            Skip::because(format!("run `cargo xtask test-drivers`, which sets {PROGRAM}, to start {name}"))
        })?;
        let mut command = Command::new(program);
        command.args(["services", "run", name, "--private"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program that starts servers runs");
        let words = child.stdin.take().expect("it was piped");
        let answers = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut server = Self { child, words, answers, variables: BTreeMap::new() };
        loop {
            let line = server.line();
            match line.split_once('=') {
                Some((name, value)) => drop(server.variables.insert(name.to_owned(), value.to_owned())),
                None if line == "ready" => return Ok(server),
                // Progress is told before the addresses.
                None => {}
            }
        }
    }

    /// What the server told its tests, such as its address.
    ///
    /// # Panics
    /// If it told no such thing.
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("the server tells {:?}", self.variables.keys()))
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.obey("kill");
    }

    /// Ends one of its processes, such as a master of a cluster; the others go on.
    pub fn kill_process(&mut self, process: &str) {
        self.obey(&format!("kill {process}"));
    }

    /// Starts one of its processes again on its data, and waits until the whole server answers.
    pub fn restart_process(&mut self, process: &str) {
        self.obey(&format!("restart {process}"));
    }

    /// Freezes it: connections stay open, nothing is answered.
    pub fn pause(&mut self) {
        self.obey("pause");
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.obey("resume");
    }

    /// Starts it again on its data, after stopping it in order if it runs.
    pub fn restart(&mut self) {
        self.obey("restart");
    }

    fn obey(&mut self, word: &str) {
        writeln!(self.words, "{word}")
            .and_then(|()| self.words.flush())
            .expect("the server's keeper listens");
        let answer = self.line();
        assert!(answer.starts_with("ok"), "{word}: {answer}");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).expect("the server's keeper answers");
        assert!(read > 0, "the server did not start, or its keeper has ended: see above");
        line.trim_end().to_owned()
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // If it cannot be told, it ends because its parent does.
        if writeln!(self.words, "stop").is_ok() {
            let _ = self.child.wait();
        }
    }
}
