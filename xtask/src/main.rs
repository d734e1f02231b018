//! The project's own commands, run as `cargo xtask <command>`.

mod bench;
mod capabilities;
mod ci;
mod drivers;
mod libtest;
mod mutants;
mod outside;
mod package;
mod process;
mod services;
mod size;
mod table;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::services::install::IfMissing;
use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything that a change has to pass, with the minutes of each part
    Ci {
        /// Only fmt, clippy, tidy, size and test-drivers
        #[arg(long)]
        quick: bool,
        /// Install servers that the tests need, beside the first parts
        #[arg(long)]
        install: bool,
    },
    /// Check the rules of the project that a program can check
    Tidy,
    /// Package stream-core and compare it with its limit
    Size,
    /// Run every test and count honestly what passed, failed and was skipped
    TestDrivers(drivers::Selection),
    /// Start, stop and disturb the servers of the tests
    Services(services::Services),
    /// Break one promise at a time and see that its test notices
    Mutants {
        /// Only these mutants; all when none is named
        names: Vec<String>,
        /// Print the mutants and the promises they break, run nothing
        #[arg(long)]
        list: bool,
    },
    /// Measure the drivers beside the bare clients of their stores
    Bench {
        /// What `stream-bench --help` lists
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Write the table of capabilities in docs/drivers.md
    Capabilities {
        /// Change nothing, fail if the table is out of date
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<drivers::NotAllPassed>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    // A keeper runs without a workspace, and the others find it themselves.
    if let Command::Services(services) = &command {
        return services::run(services);
    }
    let workspace = Workspace::load()?;
    match command {
        Command::Ci { quick, install } => {
            let extent = if quick { ci::Extent::Quick } else { ci::Extent::Full };
            let missing = if install { IfMissing::Install } else { IfMissing::Refuse };
            ci::run(&workspace, extent, missing)
        }
        Command::Tidy => tidy::run(&workspace),
        Command::Size => size::run(&workspace),
        Command::TestDrivers(selection) => drivers::run(&workspace, &selection),
        Command::Services(_) => unreachable!("done above"),
        Command::Mutants { list: true, .. } => mutants::list(&workspace),
        Command::Mutants { names, .. } => mutants::run(&workspace, &names),
        Command::Bench { words } => bench::run(&workspace, &words),
        Command::Capabilities { check: true } => capabilities::check(&workspace),
        Command::Capabilities { check: false } => capabilities::write(&workspace),
    }
}
