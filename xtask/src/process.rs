//! Starting other programs: shown, captured, or read line by line under a time limit.

use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a program that prints nothing is asked whether it still runs.
const TICK: Duration = Duration::from_millis(100);

/// How long output is awaited after the program ended: a grandchild may hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a program under a time limit came to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended {
    Exited(ExitStatus),
    TimedOut,
}

/// Where a program's errors go while its output is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Errors {
    Shown,
    ReadToo,
}

/// The cargo that runs this program.
pub(crate) fn cargo<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or(&program).to_owned();
    let settings = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let settings = settings.map(|(name, value)| format!("{}={} ", name.to_string_lossy(), quoted(value)));
    let arguments = command.get_args().map(|argument| format!(" {}", quoted(argument)));
    settings.chain([program]).chain(arguments).collect()
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.contains(' ') { format!("'{word}'") } else { word.into_owned() }
}

/// Prints the command, runs it with its output shown, fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Runs the command and returns what it printed; its errors are shown.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed something that is not UTF-8"))
}

/// Runs the command and passes on each line it prints; kills it with its children at the limit.
pub(crate) fn stream(
    mut command: Command,
    errors: Errors,
    limit: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<Ended> {
    let shown = shown(&command);
    let (reader, writer) = io::pipe().context("cannot open a pipe")?;
    if let Errors::ReadToo = errors {
        command.stderr(writer.try_clone().context("cannot share a pipe")?);
    }
    // A group of its own, so that the limit ends grandchildren too; not in the foreground, so without input.
    command.stdin(Stdio::null()).stdout(writer).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    // The command holds the writing end, and reading ends only when every writer is gone.
    drop(command);
    let ended = read_until_end(&mut child, &lines_of(reader), limit, &mut on_line)?;
    if let Ended::TimedOut = ended {
        kill_group(&mut child)?;
    }
    Ok(ended)
}

fn lines_of(reader: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(io::Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn read_until_end(
    child: &mut Child,
    lines: &Receiver<String>,
    limit: Duration,
    on_line: &mut dyn FnMut(&str),
) -> Result<Ended> {
    let started = Instant::now();
    let mut exited: Option<(ExitStatus, Instant)> = None;
    let mut is_open = true;
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                is_open = false;
                thread::sleep(TICK / 10);
            }
        }
        if exited.is_none() {
            exited =
                child.try_wait().context("cannot wait for a program")?.map(|status| (status, Instant::now()));
        }
        match exited {
            Some((status, at)) if !is_open || at.elapsed() > LAST_WORDS => return Ok(Ended::Exited(status)),
            None if started.elapsed() > limit => return Ok(Ended::TimedOut),
            _ => {}
        }
    }
}

fn kill_group(child: &mut Child) -> Result<()> {
    let group = format!("-{}", child.id());
    let status =
        Command::new("kill").args(["-KILL", "--", &group]).status().context("cannot start `kill`")?;
    if !status.success() {
        child.kill().context("cannot end a program that ran over its time")?;
    }
    child.wait().context("cannot wait for a program")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["doc", "--no-deps", "a b"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(shown(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'a b'");
    }

    #[test]
    fn lines_are_read_from_both_outputs_in_order() {
        let mut lines = Vec::new();
        let command = shell("echo one; echo two >&2; printf three");
        let ended =
            stream(command, Errors::ReadToo, Duration::from_secs(20), |line| lines.push(line.to_owned()))
                .unwrap();
        assert!(matches!(ended, Ended::Exited(status) if status.success()));
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn a_program_over_its_limit_is_ended_with_its_children() {
        let started = Instant::now();
        let ended =
            stream(shell("sleep 30 & wait"), Errors::Shown, Duration::from_millis(200), |_| {}).unwrap();
        assert!(matches!(ended, Ended::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_grandchild_holding_the_pipe_does_not_delay_the_end() {
        let started = Instant::now();
        let ended =
            stream(shell("sleep 20 & exit 3"), Errors::Shown, Duration::from_secs(60), |_| {}).unwrap();
        assert!(matches!(ended, Ended::Exited(status) if status.code() == Some(3)));
        assert!(started.elapsed() < Duration::from_secs(15));
    }
}
