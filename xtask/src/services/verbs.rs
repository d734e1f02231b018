//! What can be done to servers that were started: status, env, logs, kill, pause, resume, restart.

use std::fs;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::bring_up;
use super::catalogue::{self, Choice};
use super::instance::{Base, Instance};
use super::process_id::ProcessId;
use super::server::{Engine, Server, tail};
use super::service::{Role, Service};
use super::{docker, native};
use crate::table;

/// A verb of the crash and fault tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Kill,
    Pause,
    Resume,
    Restart,
}

impl Verb {
    /// Reads the word that tests write to a private server.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "kill" => Some(Self::Kill),
            "pause" => Some(Self::Pause),
            "resume" => Some(Self::Resume),
            "restart" => Some(Self::Restart),
            _ => None,
        }
    }
}

/// Does one verb to each of the named servers or processes.
pub(crate) fn apply_to_all(base: &Base, instance: &str, verb: Verb, names: &[String]) -> Result<()> {
    if names.is_empty() {
        bail!("name the services");
    }
    // What is started again belongs to the run that it belonged to before.
    let owner = base.owner(instance)?;
    let instance = Instance::open(base, instance)?;
    let choices = catalogue::choose(names)?;
    let servers = choices.iter().map(|choice| started(&instance, choice)).collect::<Result<Vec<_>>>()?;
    let apply_to_one = |server: &Server, label: Option<&str>| {
        let began = Instant::now();
        let outcome = apply(server, verb, label, owner.map_or_else(ProcessId::own, Ok)?)?;
        if owner.is_none() {
            native::release(server)?;
        }
        println!("{}: {outcome}, {:.1} s", server.service.name(), began.elapsed().as_secs_f64());
        Ok(())
    };
    thread::scope(|scope| {
        let apply_to_one = &apply_to_one;
        let pairs = servers.iter().zip(&choices);
        let threads: Vec<_> = pairs
            .map(|(server, choice)| scope.spawn(move || apply_to_one(server, choice.process.as_deref())))
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join().expect("a verb does not panic"));
        // All of them get their turn before the first failure is told.
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Does one verb to a server, or to one process of it; says in a few words what it is now.
pub(crate) fn apply(server: &Server, verb: Verb, label: Option<&str>, owner: ProcessId) -> Result<String> {
    if server.choices.engine == Engine::Compose {
        return apply_to_container(server, verb);
    }
    let processes = native::chosen(server, label)?;
    match verb {
        Verb::Kill => native::kill(&processes).map(|()| killed(server).to_owned()),
        Verb::Pause => native::pause(&processes).map(|()| "paused".to_owned()),
        Verb::Resume => native::resume(&processes).map(|()| "resumed".to_owned()),
        Verb::Restart => native::restart(server, &processes, owner),
    }
}

fn killed(server: &Server) -> &'static str {
    if server.service.keeps_data() { "killed" } else { "killed, and what it held is gone" }
}

fn apply_to_container(server: &Server, verb: Verb) -> Result<String> {
    match verb {
        Verb::Kill => docker::run(server, "kill").map(|()| "killed".to_owned()),
        Verb::Pause => docker::run(server, "pause").map(|()| "paused".to_owned()),
        Verb::Resume => docker::run(server, "unpause").map(|()| "resumed".to_owned()),
        Verb::Restart => docker::stop(server).and_then(|()| docker::start(server)),
    }
}

fn started(instance: &Instance, choice: &Choice) -> Result<Server> {
    let name = choice.service.name();
    instance
        .known(choice.service)
        .with_context(|| format!("{name} was not started: cargo xtask services up {name}"))
}

/// Prints a line per server and asks each that was started for an answer; fails if one gives none.
pub(crate) fn status(instance: &Instance, names: &[String]) -> Result<()> {
    let wanted: Vec<&'static dyn Service> = match names {
        [] => catalogue::SERVICES.into_iter().filter(|service| is_worth_a_line(instance, *service)).collect(),
        _ => catalogue::select(names)?,
    };
    let mut silent = Vec::new();
    let mut rows = Vec::new();
    for service in wanted {
        let (cells, answers) = status_of(instance, service)?;
        rows.push(cells);
        if !answers {
            silent.push(service.name());
        }
    }
    print!("{}", table::render(&["service", "state", "answers as", ">ms", ">MB"], &rows));
    if !silent.is_empty() {
        bail!("no answer from {}", silent.join(", "));
    }
    Ok(())
}

fn is_worth_a_line(instance: &Instance, service: &'static dyn Service) -> bool {
    service.role() == Role::Main || instance.known(service).is_some_and(|server| was_started(&server))
}

/// The cells of one line, and whether the server does what its state promises.
fn status_of(instance: &Instance, service: &'static dyn Service) -> Result<(Vec<String>, bool)> {
    let line = |state: String, answer: &str, numbers: [String; 2]| {
        let words = [service.name().to_owned(), state, answer.to_owned()];
        words.into_iter().chain(numbers).collect::<Vec<_>>()
    };
    let none = || [String::new(), String::new()];
    if bring_up::is_given_by_others(service, instance) {
        return Ok((line(format!("given by {}", service.variable()), "", none()), true));
    }
    let Some(server) = instance.known(service).filter(was_started) else {
        return Ok((line("not started".to_owned(), "", none()), true));
    };
    if server.choices.engine == Engine::Compose {
        return Ok((line(docker::state(&server)?, "", none()), true));
    }
    let processes = native::known(&server)?;
    let states: Vec<_> = processes.iter().map(native::Known::state).collect();
    let memory: u64 = processes.iter().map(|process| process.record.process.memory_bytes()).sum();
    let began = Instant::now();
    let answer = service.probe(&server);
    let numbers = [began.elapsed().as_millis().to_string(), (memory >> 20).to_string()];
    let said = answer.as_deref().map_or_else(|_| "no answer".to_owned(), str::to_owned);
    Ok((line(states.join(", "), &said, numbers), answer.is_ok()))
}

fn was_started(server: &Server) -> bool {
    match server.choices.engine {
        Engine::Native => native::known(server).is_ok_and(|known| !known.is_empty()),
        Engine::Compose => true,
    }
}

/// Prints `export` lines for the servers that run.
pub(crate) fn env(instance: &Instance, names: &[String]) -> Result<()> {
    let services = if names.is_empty() { catalogue::SERVICES.to_vec() } else { catalogue::select(names)? };
    for service in services {
        if names.is_empty() && service.role() == Role::Extra {
            continue;
        }
        if bring_up::is_given_by_others(service, instance) {
            println!("# {} is given", service.variable());
        } else if let Some(server) = instance.known(service).filter(is_up) {
            for (name, value) in bring_up::environment(&[server]) {
                println!("export {name}='{value}'");
            }
        }
    }
    Ok(())
}

fn is_up(server: &Server) -> bool {
    match server.choices.engine {
        Engine::Native => native::is_running(server).unwrap_or(false),
        Engine::Compose => docker::state(server).is_ok_and(|state| state.starts_with("running")),
    }
}

/// Prints the ends of the servers' logs.
pub(crate) fn logs(instance: &Instance, names: &[String], lines: usize) -> Result<()> {
    let known = |service| instance.known(service);
    let servers: Vec<Server> = match names {
        [] => catalogue::SERVICES.into_iter().filter_map(known).collect(),
        _ => catalogue::select(names)?.into_iter().filter_map(known).collect(),
    };
    for server in servers {
        if server.choices.engine == Engine::Compose {
            docker::run(&server, "logs")?;
            continue;
        }
        let mut logs: Vec<_> = fs::read_dir(&server.folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "log"))
            .collect();
        logs.sort();
        for log in logs {
            println!("== {}\n{}", log.display(), tail(&log, lines));
        }
    }
    Ok(())
}
