//! Measures each driver beside the bare client of its store: `docs/benchmarks.md` says how to read it.

mod backlog;
mod budget;
mod callgrind;
mod compare;
mod exact;
mod idle;
mod job;
mod loads;
mod machine;
mod pickup;
mod print;
mod promises;
mod report;
mod run;
mod statistics;
mod target;
mod text;
mod usage;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};

use crate::{
    report::Report,
    target::{Target, Unsynced},
};

/// Measure each driver beside the bare client of its store.
#[derive(Debug, Parser)]
#[command(name = "stream-bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    measure: Measure,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Measure {
    /// Only this driver; may be given again; all when none is named
    #[arg(long = "driver", value_name = "NAME")]
    drivers: Vec<String>,
    /// One short round of each: shows in seconds that everything works
    #[arg(long)]
    quick: bool,
    /// Only loads whose name contains this: for work on one of them
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write the report to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print this run beside the one in the file
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Hold up the traffic to each server by so many milliseconds
    #[arg(long, value_name = "N", default_value_t = 0)]
    latency_ms: u64,
    /// Measure servers that do not wait for their disk as well
    #[arg(long)]
    allow_unsynced: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count instructions per job under valgrind and compare them with the budget
    Instructions {
        /// Fail if a stage is more than 10 % above its budget
        #[arg(long)]
        check: bool,
        /// The budget
        #[arg(long, value_name = "FILE", default_value = "bench/instructions.toml")]
        budget: PathBuf,
    },
    /// Work as the other process of a pick-up measurement, until the input ends
    #[command(hide = true)]
    PickupWorker {
        #[arg(long)]
        driver: String,
        #[arg(long)]
        queue: String,
        #[arg(long, default_value_t = 0)]
        latency_ms: u64,
    },
}

fn main() -> ExitCode {
    run(Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        None => measure(&arguments.measure).map(|()| ExitCode::SUCCESS),
        Some(Command::Instructions { check, budget }) => callgrind::run(&budget, check),
        Some(Command::PickupWorker { driver, queue, latency_ms }) => {
            let target = target::named(&[driver])?.pop().context("a worker has one driver")?;
            let latency = Duration::from_millis(latency_ms);
            on_runtime(async move { pickup::work_in_this_process(target, &queue, latency).await })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn measure(wanted: &Measure) -> Result<()> {
    let targets: Vec<Arc<dyn Target>> = target::named(&wanted.drivers)?;
    // Read first: a mistake in the name should not cost a run.
    let older = wanted.compare.as_deref().map(Report::read).transpose()?;
    let (is_quick, latency_ms, only) = (wanted.quick, wanted.latency_ms, wanted.only.clone());
    let unsynced = if wanted.allow_unsynced { Unsynced::Allowed } else { Unsynced::Refused };
    let report = on_runtime(async move {
        for target in &targets {
            target.durability().await?.check(unsynced).with_context(|| target.name())?;
        }
        run::all(&targets, is_quick, only.as_deref(), latency_ms).await
    })?;
    print!("{}", print::report(&report));
    if let Some(path) = &wanted.json {
        report.write(path)?;
    }
    if let Some(older) = older {
        print!("\n{}", compare::report(&older, &report));
    }
    Ok(())
}

/// On the threads that a program with `#[tokio::main]` has, not on the thread beside them.
fn on_runtime<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { tokio::spawn(work).await })?
}
