//! Servers as processes of this machine: starting them, and everything that happens to them until they are down.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::launch::{Launch, ProcessFiles, Record};
use super::process_id::{self, ProcessId, Signal};
use super::server::{Server, TAIL_LINES, tail};
use super::service::Process;
use super::{json, keeper, ports};

/// Even a busy machine starts a server sooner.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// How long the system may take to remove a process that was killed.
const GONE_LIMIT: Duration = Duration::from_secs(10);

const TICK: Duration = Duration::from_millis(20);

/// One process that was started once, as its files tell.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) label: String,
    files: ProcessFiles,
    launch: Launch,
    pub(crate) record: Record,
}

/// The processes of a server that were started, by label.
pub(crate) fn known(server: &Server) -> Result<Vec<Known>> {
    known_in(&server.folder)
}

/// Read from the files alone, so that servers of another version of this program can be ended, too.
pub(crate) fn known_in(folder: &Path) -> Result<Vec<Known>> {
    let mut known = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some(label) = name.strip_suffix(".process.json") else { continue };
        let files = ProcessFiles::new(folder, label);
        let (Some(record), Some(launch)) = (json::read(&files.record())?, json::read(&files.launch())?)
        else {
            continue;
        };
        known.push(Known { label: label.to_owned(), files, launch, record });
    }
    known.sort_by(|a, b| a.label.cmp(&b.label));
    Ok(known)
}

/// Whether every process of the server runs with its keeper.
pub(crate) fn is_running(server: &Server) -> Result<bool> {
    let known = known(server)?;
    Ok(!known.is_empty() && known.iter().all(|process| process.record.is_kept()))
}

/// Starts what does not run yet and waits until the server answers; returns what it says it is.
pub(crate) fn start(server: &Server, owner: ProcessId) -> Result<String> {
    make_data(server)?;
    server.service.configure(server)?;
    let mut processes = server.service.processes(server)?;
    // Helpers first: the others look for them only once.
    processes.sort_by_key(|process| !process.launch.is_helper());
    let mut must_restart = false;
    for process in &processes {
        must_restart |= start_process(server, process, owner, must_restart)?;
    }
    wait_until_ready(server)
}

/// A folder that was filled only half is filled again.
fn make_data(server: &Server) -> Result<()> {
    let done = server.folder.join("prepared");
    if done.exists() {
        return Ok(());
    }
    let data = server.data();
    if data.exists() {
        fs::remove_dir_all(&data).context("cannot remove a data folder that was never finished")?;
    }
    fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    server.give_to_user(&data)?;
    server.service.prepare(server).with_context(|| format!("cannot prepare {}", server.service.name()))?;
    fs::write(&done, "").context("cannot write a file")
}

/// Whether a helper was started: then what depends on it has to start again.
fn start_process(server: &Server, process: &Process, owner: ProcessId, must_restart: bool) -> Result<bool> {
    let files = server.files(&process.label);
    if let Some(old) = known(server)?.iter().find(|known| known.label == process.label) {
        if old.record.is_kept() && !must_restart {
            return old.go_on().map(|()| false);
        }
        old.end()?;
    }
    keeper::start(&files, &process.launch, owner)?;
    if let Some(port) = process.launch.helps_on {
        wait_for_port(port, &files)?;
    }
    Ok(process.launch.is_helper())
}

fn wait_for_port(port: u16, files: &ProcessFiles) -> Result<()> {
    let deadline = Instant::now() + GONE_LIMIT;
    while !ports::is_open(port) {
        if Instant::now() > deadline {
            bail!("nothing listens on port {port}: {}", tail(&files.log(), TAIL_LINES));
        }
        thread::sleep(TICK);
    }
    Ok(())
}

fn wait_until_ready(server: &Server) -> Result<String> {
    let name = server.service.name();
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        let answer = server.service.join(server).and_then(|()| server.service.probe(server));
        let Err(error) = answer else { return answer };
        if let Some(process) = known(server)?.iter().find(|process| !process.record.process.is_alive()) {
            let log = process.files.log();
            bail!(
                "{name} ended while it was starting, its log {} ends:\n{}",
                log.display(),
                tail(&log, TAIL_LINES)
            );
        }
        if Instant::now() > deadline {
            return Err(error.context(format!("{name} was not ready after {} s", READY_LIMIT.as_secs())));
        }
        thread::sleep(TICK);
    }
}

/// Lets the server run until it is told to end, whatever becomes of this program.
pub(crate) fn release(server: &Server) -> Result<()> {
    known(server)?.iter().try_for_each(|process| json::remove(&process.files.owner()))
}

/// Ends the server in an orderly way; helpers last.
pub(crate) fn stop(folder: &Path) -> Result<()> {
    let (helpers, serving): (Vec<_>, Vec<_>) =
        known_in(folder)?.into_iter().partition(|process| process.launch.is_helper());
    for group in [serving, helpers] {
        for process in &group {
            keeper::ask_to_end(process.record.process, &process.launch)?;
        }
        for process in &group {
            process.end()?;
            json::remove(&process.files.owner())?;
            json::remove(&process.files.record())?;
        }
    }
    Ok(())
}

/// Which processes of a server a verb means: all that serve, or the one with this label.
pub(crate) fn chosen(server: &Server, label: Option<&str>) -> Result<Vec<Known>> {
    let known = known(server)?.into_iter();
    let chosen: Vec<Known> = match label {
        Some(label) => known.filter(|process| process.label == label).collect(),
        None => known.filter(|process| !process.launch.is_helper()).collect(),
    };
    if chosen.is_empty() {
        let process = label.map(|label| format!("/{label}")).unwrap_or_default();
        bail!("{}{process} was not started", server.service.name());
    }
    Ok(chosen)
}

/// Ends processes at once with everything below them, as a crash would.
pub(crate) fn kill(processes: &[Known]) -> Result<()> {
    signal(processes, Signal::Kill)?;
    processes.iter().try_for_each(Known::wait_until_gone)
}

/// Freezes processes with everything below them.
pub(crate) fn pause(processes: &[Known]) -> Result<()> {
    if let Some(process) = processes.iter().find(|process| !process.record.process.is_alive()) {
        bail!("{} does not run", process.label);
    }
    signal(processes, Signal::Stop)
}

/// Lets frozen processes go on.
pub(crate) fn resume(processes: &[Known]) -> Result<()> {
    signal(processes, Signal::Continue)
}

fn signal(processes: &[Known], signal: Signal) -> Result<()> {
    let trees: Vec<_> = processes.iter().flat_map(|process| process.record.process.tree()).collect();
    process_id::signal(signal, &trees)
}

/// Ends processes in an orderly way and starts the server again.
pub(crate) fn restart(server: &Server, processes: &[Known], owner: ProcessId) -> Result<String> {
    for process in processes {
        keeper::ask_to_end(process.record.process, &process.launch)?;
    }
    processes.iter().try_for_each(Known::end)?;
    start(server, owner)
}

impl Known {
    /// Words for a table.
    pub(crate) fn state(&self) -> String {
        let Record { process, ended, .. } = &self.record;
        match ended {
            _ if process.is_stopped() => format!("paused ({})", process.pid()),
            _ if process.is_alive() => format!("runs ({})", process.pid()),
            Some(how) => format!("ended ({how})"),
            None => "ended".to_owned(),
        }
    }

    fn go_on(&self) -> Result<()> {
        if self.record.process.is_stopped() {
            process_id::signal(Signal::Continue, &self.record.process.tree())?;
        }
        Ok(())
    }

    /// Ends the process if it still runs, at the limit by force, and waits until it is gone.
    fn end(&self) -> Result<()> {
        let process = self.record.process;
        if process.is_alive() {
            keeper::ask_to_end(process, &self.launch)?;
        }
        let deadline = Instant::now() + self.launch.stop_limit;
        while process.is_alive() && Instant::now() < deadline {
            thread::sleep(TICK);
        }
        process_id::signal(Signal::Kill, &process.tree())?;
        self.wait_until_gone()
    }

    /// Until its keeper has reaped it, too.
    fn wait_until_gone(&self) -> Result<()> {
        let deadline = Instant::now() + GONE_LIMIT;
        while self.record.process.is_alive() || self.record.keeper.is_alive() {
            if Instant::now() > deadline {
                return Err(anyhow!("{} does not go, even when killed", self.label));
            }
            thread::sleep(TICK);
        }
        Ok(())
    }
}
