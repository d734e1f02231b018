//! The parent of one server process: it starts it, waits for it, and ends it when its owner is gone.
//!
//! A server whose parent has gone is reaped late, and PostgreSQL refuses to restart beside its own zombie. So each
//! process has a keeper, detached from the terminal, which lives exactly as long as the process.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::json;
use super::launch::{Launch, ProcessFiles, Record};
use super::process_id::{self, ProcessId, Signal};

/// How often a keeper looks at its process and its owner.
const TICK: Duration = Duration::from_millis(20);

/// How long a keeper may take to start its process: nothing but forks and small files.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Starts a keeper with its process; returns once the process runs.
pub(crate) fn start(files: &ProcessFiles, launch: &Launch, owner: ProcessId) -> Result<Record> {
    json::remove(&files.record())?;
    json::write(&files.launch(), launch)?;
    json::write(&files.owner(), &owner)?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    // `setsid --fork` leaves the terminal and our process tree, so that neither's end is the keeper's.
    let mut command = Command::new("setsid");
    command.arg("--fork").arg(program).args(["services", "keep"]).arg(files.launch());
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().context("cannot start `setsid` (package util-linux)")?;
    if !status.success() {
        bail!("`setsid` failed: {status}");
    }
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if let Some(record) = json::read(&files.record())? {
            return Ok(record);
        }
        if Instant::now() > deadline {
            bail!("{} was not started, see {}", launch.program.display(), files.log().display());
        }
        thread::sleep(TICK / 4);
    }
}

/// What `cargo xtask services keep` does, in a process of its own. Errors go to the process's log.
pub(crate) fn keep(launch_file: &Path) -> Result<()> {
    let folder = launch_file.parent().context("a launch lies in a folder")?;
    let name = launch_file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let label = name.strip_suffix(".launch.json").context("a launch is named LABEL.launch.json")?;
    let files = ProcessFiles::new(folder, label);
    let launch: Launch = json::read(launch_file)?.context("the launch is gone")?;

    let mut child = match spawn(&launch, &files.log()) {
        Ok(child) => child,
        Err(error) => {
            std::fs::write(files.log(), format!("cannot start {}: {error:#}\n", launch.program.display()))?;
            return Err(error);
        }
    };
    let keeper = ProcessId::own()?;
    // A process that ended at once is still there as a zombie, with its start time, until it is waited for.
    let Some(process) = ProcessId::of(child.id()) else {
        let status = child.wait()?;
        return json::write(
            &files.record(),
            &Record { process: keeper, keeper, ended: Some(status.to_string()) },
        );
    };
    let mut record = Record { process, keeper, ended: None };
    json::write(&files.record(), &record)?;

    let status = wait(&mut child, process, &launch, &files)?;
    // Whoever took the record away wants no trace.
    if files.record().exists() {
        record.ended = Some(status);
        json::write(&files.record(), &record)?;
    }
    Ok(())
}

fn spawn(launch: &Launch, log: &PathBuf) -> Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(log).context("cannot open the log")?;
    let errors = log.try_clone().context("cannot share the log")?;
    let mut command = launch.command_dying_with_parent();
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    command.spawn().with_context(|| format!("cannot start {}", launch.program.display()))
}

fn wait(child: &mut Child, process: ProcessId, launch: &Launch, files: &ProcessFiles) -> Result<String> {
    let mut ending: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the process")? {
            return Ok(status.to_string());
        }
        match ending {
            None if is_unwanted(files) => {
                ask_to_end(process, launch)?;
                ending = Some(Instant::now() + launch.stop_limit);
            }
            Some(deadline) if Instant::now() > deadline => {
                process_id::signal(Signal::Kill, &process.tree())?;
                return Ok(child.wait()?.to_string());
            }
            _ => {}
        }
        thread::sleep(TICK);
    }
}

/// A process that is frozen hears nothing before it goes on.
pub(crate) fn ask_to_end(process: ProcessId, launch: &Launch) -> Result<()> {
    process_id::signal(launch.stop_signal, &[process])?;
    process_id::signal(Signal::Continue, &process.tree())
}

fn is_unwanted(files: &ProcessFiles) -> bool {
    let owner = json::read::<ProcessId>(&files.owner()).ok().flatten();
    !files.record().exists() || owner.is_some_and(|owner| !owner.is_alive())
}
