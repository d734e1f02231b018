//! The project's own commands, run as `cargo xtask <command>`.

mod capabilities;
mod ci;
mod drivers;
mod libtest;
mod mutants;
mod outside;
mod package;
mod process;
mod size;
mod table;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    },
    /// Check the rules of the project that a program can check
    Tidy,
    /// Package stream-core and compare it with its limit
    Size,
    /// Run every test and count honestly what passed, failed and was skipped
    TestDrivers {
        /// Only these rows of the table; all when none is named
        #[arg(long = "driver", value_name = "NAME", num_args = 1..)]
        drivers: Vec<String>,
    },
    /// Break one promise at a time and see that its test notices
    Mutants {
        /// Only these mutants; all when none is named
        names: Vec<String>,
        /// Print the mutants and the promises they break, run nothing
        #[arg(long)]
        list: bool,
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
    let workspace = Workspace::load()?;
    match command {
        Command::Ci { quick: true } => ci::run(&workspace, ci::Extent::Quick),
        Command::Ci { quick: false } => ci::run(&workspace, ci::Extent::Full),
        Command::Tidy => tidy::run(&workspace),
        Command::Size => size::run(&workspace),
        Command::TestDrivers { drivers } => drivers::run(&workspace, &drivers),
        Command::Mutants { list: true, .. } => mutants::list(&workspace),
        Command::Mutants { names, .. } => mutants::run(&workspace, &names),
        Command::Capabilities { check: true } => capabilities::check(&workspace),
        Command::Capabilities { check: false } => capabilities::write(&workspace),
    }
}
