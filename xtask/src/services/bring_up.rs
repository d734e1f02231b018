//! Bringing servers up: whatever is missing is installed, then all start at once.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::install::{self, IfMissing};
use super::instance::{Base, Instance};
use super::process_id::ProcessId;
use super::server::{Choices, Durability, Engine, Server};
use super::service::{Role, Service};
use super::{docker, native};
use crate::table;

/// What somebody wants to have running.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) services: Vec<&'static dyn Service>,
    pub(crate) durability: Durability,
    /// `None` takes Compose where an engine answers.
    pub(crate) engine: Option<Engine>,
    pub(crate) missing: IfMissing,
}

/// What became of one server.
#[derive(Debug)]
struct Started {
    server: Server,
    answer: Result<String>,
    took: Duration,
}

/// Whether tests are told this service's address from outside. An extra shares its variable with a main service, which
/// is what an address in it stands for.
pub(crate) fn is_given(service: &dyn Service) -> bool {
    service.role() != Role::Extra
        && env::var_os(service.variable()).is_some_and(|address| !address.is_empty())
}

/// The same, unless the address is that of our own server, as after `eval "$(cargo xtask services env)"`.
pub(crate) fn is_given_by_others(service: &'static dyn Service, instance: &Instance) -> bool {
    let is_own =
        |address: String| instance.known(service).is_some_and(|server| service.address(&server) == address);
    is_given(service) && !env::var(service.variable()).is_ok_and(is_own)
}

/// Whether servers would be started through Compose.
pub(crate) fn uses_compose(engine: Option<Engine>) -> bool {
    engine.map_or_else(docker::answers, |engine| engine == Engine::Compose)
}

/// Parts the services into those to start and those whose address is given.
pub(crate) fn without_given(services: Vec<&'static dyn Service>) -> Vec<&'static dyn Service> {
    let (given, ours): (Vec<_>, Vec<_>) = services.into_iter().partition(|service| is_given(*service));
    for service in given {
        eprintln!("{}: given by {}", service.name(), service.variable());
    }
    ours
}

/// Starts the servers with this program as their owner and waits until each has answered a request.
///
/// When one fails, the others go on and it is ended.
pub(crate) fn up(base: &Base, instance: &mut Instance, wish: &Wish) -> Result<Vec<Server>> {
    let uses_compose = uses_compose(wish.engine);
    // What Compose does not know runs without it.
    let is_native = |service: &dyn Service| !uses_compose || service.container().is_none();
    let native: Vec<_> = wish.services.iter().copied().filter(|service| is_native(*service)).collect();
    install::ensure(&native, wish.missing, &base.shared())?;
    let mut servers = Vec::new();
    for service in &wish.services {
        let engine = if is_native(*service) { Engine::Native } else { Engine::Compose };
        let choices = Choices { durability: wish.durability, engine, ..Choices::default() };
        let server = instance.set_up(*service, &choices)?;
        let has_processes = native::known(&server)?.iter().any(|process| process.record.process.is_alive());
        let is_down = engine == Engine::Native && !has_processes;
        servers.push(if is_down { instance.replace_lost_ports(&server)? } else { server });
    }
    let owner = ProcessId::own()?;
    let started: Vec<Started> = thread::scope(|scope| {
        let threads: Vec<_> =
            servers.into_iter().map(|server| scope.spawn(move || start(server, owner))).collect();
        threads.into_iter().map(|thread| thread.join().expect("starting does not panic")).collect()
    });
    conclude(started)
}

/// The same, and the servers run until they are told to end.
pub(crate) fn up_and_release(base: &Base, instance: &str, wish: &Wish) -> Result<Vec<Server>> {
    let mut instance = Instance::open(base, instance)?;
    let outcome = up(base, &mut instance, wish);
    // Those that did start are of use even when another did not.
    instance.servers().iter().try_for_each(native::release)?;
    outcome
}

fn start(server: Server, owner: ProcessId) -> Started {
    let began = Instant::now();
    let answer = match server.choices.engine {
        Engine::Native => native::start(&server, owner),
        Engine::Compose => docker::start(&server),
    };
    let took = began.elapsed();
    match &answer {
        Ok(answer) => eprintln!("{}: {answer}, {:.1} s", server.service.name(), took.as_secs_f64()),
        Err(error) => {
            eprintln!("{}: {error:#}", server.service.name());
            if let Err(error) = take_down(&server) {
                eprintln!("{}: {error:#}", server.service.name());
            }
        }
    }
    Started { server, answer, took }
}

fn conclude(started: Vec<Started>) -> Result<Vec<Server>> {
    let rows = started.iter().map(|started| {
        let answer = started.answer.as_deref().unwrap_or("failed").to_owned();
        vec![started.server.service.name().to_owned(), format!("{:.1}", started.took.as_secs_f64()), answer]
    });
    eprint!("\n{}", table::render(&["service", ">seconds", "answers as"], &rows.collect::<Vec<_>>()));
    let failed: Vec<_> = started.iter().filter(|started| started.answer.is_err()).collect();
    let names: Vec<_> = failed.iter().map(|started| started.server.service.name()).collect();
    if names.is_empty() {
        Ok(started.into_iter().map(|started| started.server).collect())
    } else {
        Err(anyhow!("could not start {}", names.join(", ")))
    }
}

/// Ends one server; its data stays.
pub(crate) fn take_down(server: &Server) -> Result<()> {
    match server.choices.engine {
        Engine::Native => native::stop(&server.folder),
        Engine::Compose => docker::stop(server),
    }
}

/// Ends several servers at once.
pub(crate) fn take_all_down(servers: &[Server]) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = servers.iter().map(|server| scope.spawn(move || take_down(server))).collect();
        let ended = threads.into_iter().map(|thread| thread.join().expect("stopping does not panic"));
        // All of them get their chance before the first failure is told.
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Ends what killed runs left behind, and nothing else: instances whose owner is gone.
pub(crate) fn sweep(base: &Base) -> Result<()> {
    for name in base.names()? {
        let is_left = || Ok::<_, anyhow::Error>(base.owner(&name)?.is_some_and(|owner| !owner.is_alive()));
        if !is_left()? {
            continue;
        }
        let instance = Instance::open(base, &name)?;
        // Another run may have swept it while we waited for the lock.
        if is_left()? {
            eprintln!("ending what {name} left behind");
            take_all_down(&instance.servers())?;
            instance.delete()?;
        }
    }
    Ok(())
}

/// Names and values for the environment of tests.
pub(crate) fn environment(servers: &[Server]) -> Vec<(&'static str, String)> {
    let of = |server: &Server| {
        let address = (server.service.variable(), server.service.address(server));
        [address].into_iter().chain(server.service.more_variables(server)).collect::<Vec<_>>()
    };
    servers.iter().flat_map(of).collect()
}
