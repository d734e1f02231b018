//! `cargo xtask services`: real servers for the tests, started and stopped by one command.

pub(crate) mod bring_up;
pub(crate) mod catalogue;
mod compose;
mod docker;
pub(crate) mod install;
pub(crate) mod instance;
mod json;
mod keeper;
mod launch;
mod native;
mod ports;
mod private;
mod process_id;
mod random;
pub(crate) mod rehearsal;
pub(crate) mod server;
pub(crate) mod service;
mod stores;
mod user;
mod verbs;
mod wire;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

use self::bring_up::Wish;
use self::install::IfMissing;
use self::instance::{Base, Instance};
pub(crate) use self::process_id::ProcessId;
use self::server::{Durability, Engine};
use self::service::Service;
use self::verbs::Verb;
use crate::workspace::Workspace;

/// What `cargo xtask services` is told to do.
#[derive(Debug, Args)]
pub(crate) struct Services {
    #[command(subcommand)]
    action: Action,
    /// The set of servers it is about
    #[arg(long, global = true, default_value = instance::DEFAULT)]
    instance: String,
}

/// How servers are started.
#[derive(Debug, Args)]
struct Manner {
    /// Install what is missing, printing each command first
    #[arg(long)]
    install: bool,
    /// Do not wait for the disk: faster, not for crash tests or numbers that are reported
    #[arg(long)]
    no_fsync: bool,
    /// What runs the servers; Compose where an engine answers, when not said
    #[arg(long)]
    engine: Option<EngineName>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EngineName {
    Native,
    Compose,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start servers and keep them running until `down`
    Up {
        /// The main ones when none is named
        names: Vec<String>,
        #[command(flatten)]
        manner: Manner,
    },
    /// Stop servers; their data stays
    Down { names: Vec<String> },
    /// Ask each server for an answer
    Status { names: Vec<String> },
    /// Print export lines with the addresses of the servers that run
    Env { names: Vec<String> },
    /// Print the ends of the logs
    Logs {
        names: Vec<String>,
        #[arg(long, default_value_t = 50)]
        lines: usize,
    },
    /// End servers at once, as a crash would; `restart` brings them back with their data
    Kill { names: Vec<String> },
    /// Freeze servers
    Pause { names: Vec<String> },
    /// Let frozen servers go on
    Resume { names: Vec<String> },
    /// Stop servers in an orderly way if they run, and start them again
    Restart { names: Vec<String> },
    /// Run servers for the program that calls this, as long as that lives
    Run {
        #[arg(required = true)]
        names: Vec<String>,
        /// In a folder and on ports of their own
        #[arg(long, required = true)]
        private: bool,
        #[command(flatten)]
        manner: Manner,
    },
    /// Show kill, restart, pause and resume on each main server, in an instance of its own
    Rehearse {
        /// Install what is missing, printing each command first
        #[arg(long)]
        install: bool,
    },
    /// Print docker-compose.yml
    Compose,
    #[command(hide = true)]
    Keep { launch: PathBuf },
}

impl Manner {
    fn wish(&self, services: Vec<&'static dyn Service>) -> Wish {
        Wish {
            services,
            durability: if self.no_fsync { Durability::Unsynced } else { Durability::Synced },
            engine: self.engine.map(|engine| match engine {
                EngineName::Native => Engine::Native,
                EngineName::Compose => Engine::Compose,
            }),
            missing: if self.install { IfMissing::Install } else { IfMissing::Refuse },
        }
    }
}

/// Does what is asked for.
pub(crate) fn run(services: &Services) -> Result<()> {
    match &services.action {
        // It must work where there is no workspace any more.
        Action::Keep { launch } => return keeper::keep(launch),
        Action::Compose => {
            print!("{}", compose::render(&catalogue::SERVICES));
            return Ok(());
        }
        Action::Rehearse { install } => {
            let missing = if *install { IfMissing::Install } else { IfMissing::Refuse };
            return rehearsal::run(&Workspace::load()?, missing);
        }
        _ => {}
    }
    let base = Base::below(&Workspace::load()?.target)?;
    let name = &services.instance;
    let verb = |verb, names: &[String]| verbs::apply_to_all(&base, name, verb, names);
    match &services.action {
        Action::Up { names, manner } => {
            bring_up::sweep(&base)?;
            let instance = Instance::open(&base, name)?;
            let is_ours = |service: &&'static dyn Service| !bring_up::is_given_by_others(*service, &instance);
            let services = catalogue::select(names)?;
            let wish = manner.wish(services.into_iter().filter(is_ours).collect());
            drop(instance);
            bring_up::up_and_release(&base, name, &wish).map(drop)
        }
        Action::Down { names } => down(&base, name, names),
        Action::Status { names } => verbs::status(&Instance::open(&base, name)?, names),
        Action::Env { names } => verbs::env(&Instance::open(&base, name)?, names),
        Action::Logs { names, lines } => verbs::logs(&Instance::open(&base, name)?, names, *lines),
        Action::Kill { names } => verb(Verb::Kill, names),
        Action::Pause { names } => verb(Verb::Pause, names),
        Action::Resume { names } => verb(Verb::Resume, names),
        Action::Restart { names } => verb(Verb::Restart, names),
        Action::Run { names, manner, .. } => {
            bring_up::sweep(&base)?;
            private::run(&base, &manner.wish(catalogue::select(names)?))
        }
        Action::Compose | Action::Keep { .. } | Action::Rehearse { .. } => unreachable!("done above"),
    }
}

fn down(base: &Base, instance: &str, names: &[String]) -> Result<()> {
    bring_up::sweep(base)?;
    let instance = Instance::open(base, instance)?;
    let mut servers = instance.servers();
    if !names.is_empty() {
        let named = catalogue::select(names)?;
        servers.retain(|server| named.iter().any(|service| service.name() == server.service.name()));
    }
    bring_up::take_all_down(&servers)
}
