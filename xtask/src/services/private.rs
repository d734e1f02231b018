//! `services run NAME --private`: a server for one test, which lives as long as whoever asked for it.

use std::io::{self, BufRead as _, Write as _};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::bring_up::{self, Wish};
use super::instance::{Base, Instance};
use super::process_id::ProcessId;
use super::server::Server;
use super::verbs::{self, Verb};

/// How often it is looked whether the parent still lives.
const TICK: Duration = Duration::from_millis(100);

/// Starts the servers, prints `NAME=value` lines and then `ready`; obeys the words on standard input until the parent
/// ends or says `stop`.
///
/// The words are `kill`, `pause`, `resume` and `restart`, alone or with a process behind them, and `stop`. Each is
/// answered by a line that begins with `ok` or `error`.
pub(crate) fn run(base: &Base, wish: &Wish) -> Result<()> {
    let parent = ProcessId::parent()?;
    let own = ProcessId::own()?;
    let mut instance = Instance::open_owned(base, &format!("private-{}", own.pid()), own)?;
    let outcome = bring_up::up(base, &mut instance, wish).and_then(|servers| {
        for (name, value) in bring_up::environment(&servers) {
            say(&format!("{name}={value}"))?;
        }
        say("ready")?;
        obey(&servers, parent, own)
    });
    bring_up::take_all_down(&instance.servers())?;
    instance.delete()?;
    outcome
}

fn obey(servers: &[Server], parent: ProcessId, own: ProcessId) -> Result<()> {
    let words = words();
    while parent.is_alive() {
        let line = match words.recv_timeout(TICK) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            // Nothing more will be said, which is no reason to end.
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(TICK);
                continue;
            }
        };
        if line.trim() == "stop" {
            return say("ok stopping");
        }
        match obey_line(servers, &line, own) {
            Ok(outcome) => say(&format!("ok {outcome}"))?,
            Err(error) => say(&format!("error {error:#}").replace('\n', " / "))?,
        }
    }
    Ok(())
}

fn obey_line(servers: &[Server], line: &str, owner: ProcessId) -> Result<String> {
    let (word, label) = match line.trim().split_once(' ') {
        Some((word, label)) => (word, Some(label)),
        None => (line.trim(), None),
    };
    let verb = Verb::parse(word).ok_or_else(|| anyhow::anyhow!("{word:?} is no verb"))?;
    let outcomes = servers.iter().map(|server| verbs::apply(server, verb, label, owner));
    Ok(outcomes.collect::<Result<Vec<_>>>()?.join(", "))
}

fn words() -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(io::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A parent that no longer listens is no reason to leave its servers behind.
fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        eprintln!("nobody listens: {line}");
    }
    Ok(())
}
