//! Each verb on each main service, as the crash and fault tiers use them; what CI proves of the servers.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::bring_up::{self, Wish};
use super::catalogue;
use super::install::IfMissing;
use super::instance::{Base, Instance};
use super::process_id::ProcessId;
use super::server::{Durability, Engine, Server};
use super::verbs::{self, Verb};
use crate::table;
use crate::workspace::Workspace;

/// What is done to each server, and whether it answers afterwards.
const SCENES: [(Verb, bool); 5] = [
    (Verb::Kill, false),
    (Verb::Restart, true),
    (Verb::Pause, false),
    (Verb::Resume, true),
    (Verb::Restart, true),
];

/// How long a verb may take to show its effect.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts the main services in an instance of their own, goes through all scenes with all at once, and ends them.
pub(crate) fn run(workspace: &Workspace, missing: IfMissing) -> Result<()> {
    let base = Base::below(&workspace.target)?;
    bring_up::sweep(&base)?;
    let own = ProcessId::own()?;
    let mut instance = Instance::open_owned(&base, &format!("rehearsal-{}", own.pid()), own)?;
    let services = catalogue::select(&[])?;
    let wish = Wish { services, durability: Durability::Synced, engine: Some(Engine::Native), missing };
    let outcome = bring_up::up(&base, &mut instance, &wish).and_then(|servers| rehearse(&servers, own));
    bring_up::take_all_down(&instance.servers())?;
    instance.delete()?;
    outcome
}

fn rehearse(servers: &[Server], own: ProcessId) -> Result<()> {
    let rows = thread::scope(|scope| {
        let threads: Vec<_> = servers.iter().map(|server| scope.spawn(move || play(server, own))).collect();
        let ended = threads.into_iter().map(|thread| thread.join().expect("a rehearsal does not panic"));
        ended.collect::<Vec<_>>().into_iter().collect::<Result<Vec<_>>>()
    })?;
    let heads = ["service", ">kill", ">restart", ">pause", ">resume", ">restart"];
    println!("seconds until each verb had shown its effect:\n{}", table::render(&heads, &rows));
    Ok(())
}

fn play(server: &Server, own: ProcessId) -> Result<Vec<String>> {
    let name = server.service.name();
    let mut cells = vec![name.to_owned()];
    for (verb, answers) in SCENES {
        let began = Instant::now();
        verbs::apply(server, verb, None, own).with_context(|| format!("{name}: {verb:?}"))?;
        wait_until(server, answers).with_context(|| format!("{name}: after {verb:?}"))?;
        cells.push(format!("{:.1}", began.elapsed().as_secs_f64()));
    }
    Ok(cells)
}

/// Waits until the server answers, or until it does not: a signal takes a moment to stop all threads.
fn wait_until(server: &Server, answers: bool) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let probed = server.service.probe(server);
        if probed.is_ok() == answers {
            return Ok(());
        }
        if Instant::now() > deadline {
            return probed.and_then(|answer| bail!("it still answers as {answer}"));
        }
        thread::sleep(Duration::from_millis(50));
    }
}
