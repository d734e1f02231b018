//! `cargo xtask ci`: everything that a change has to pass, part by part, with a budget of minutes.

mod deny;
mod parts;

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use self::parts::{Kind, PARTS, Part, Step};
use crate::drivers::{self, Selection};
use crate::services::install::IfMissing;
use crate::table;
use crate::workspace::Workspace;

/// Build and checks together, from the project's design.
const CHECKS_BUDGET: Duration = Duration::from_secs(17 * 60);

/// All tests together, from the project's design.
const TESTS_BUDGET: Duration = Duration::from_secs(25 * 60);

/// How much of it to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Quick,
    Full,
}

/// How long a part took.
#[derive(Debug, Clone, Copy)]
struct Timing {
    name: &'static str,
    kind: Kind,
    took: Duration,
}

/// Runs the parts in order up to the first that fails; prints the minutes of each in any case.
pub(crate) fn run(workspace: &Workspace, extent: Extent, missing: IfMissing) -> Result<()> {
    let mut timings = Vec::new();
    let outcome = thread::scope(|scope| {
        // Servers are installed while the first parts compile; the tests see for themselves whether it worked.
        if missing == IfMissing::Install {
            scope.spawn(|| {
                if let Err(error) = drivers::install(workspace) {
                    eprintln!("installing servers: {error:#}");
                }
            });
        }
        run_parts(workspace, extent, missing, &mut timings)
    });
    println!("\n{}", table::render(&["part", ">minutes"], &rows(&timings)));
    outcome?;

    let over = over_budget(&timings);
    for message in &over {
        println!("{message}");
    }
    if !over.is_empty() && is_ci() {
        bail!("over budget");
    }
    println!("ci passed");
    Ok(())
}

fn run_parts(
    workspace: &Workspace,
    extent: Extent,
    missing: IfMissing,
    timings: &mut Vec<Timing>,
) -> Result<()> {
    let selection = Selection { install: missing == IfMissing::Install, ..Selection::default() };
    for Part { name, kind, step, .. } in PARTS.iter().filter(|part| extent == Extent::Full || part.is_quick) {
        println!("\n==== {name}");
        let started = Instant::now();
        let outcome = match step {
            Step::Plain(run) => run(workspace),
            Step::OnServers(run) => run(workspace, &selection),
        };
        timings.push(Timing { name, kind: *kind, took: started.elapsed() });
        outcome.map_err(|error| anyhow!("{name} failed: {error:#}"))?;
    }
    Ok(())
}

/// Whether this runs unattended, where warnings are read by nobody.
fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true")
}

fn rows(timings: &[Timing]) -> Vec<Vec<String>> {
    let parts = timings.iter().map(|timing| vec![timing.name.to_owned(), minutes(timing.took)]);
    let sums = [("build and checks", Kind::Check), ("tests", Kind::Test)];
    let sums = sums.map(|(name, kind)| vec![format!("sum of {name}"), minutes(sum(timings, kind))]);
    parts.chain(sums).collect()
}

fn minutes(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() / 60.0)
}

fn sum(timings: &[Timing], kind: Kind) -> Duration {
    timings.iter().filter(|timing| timing.kind == kind).map(|timing| timing.took).sum()
}

fn over_budget(timings: &[Timing]) -> Vec<String> {
    let budgets = [("build and checks", Kind::Check, CHECKS_BUDGET), ("tests", Kind::Test, TESTS_BUDGET)];
    let over = budgets.into_iter().filter_map(|(name, kind, budget)| {
        let took = sum(timings, kind);
        (took > budget).then(|| {
            format!(
                "{name} took {} minutes, the budget is {}: make them faster",
                minutes(took),
                minutes(budget)
            )
        })
    });
    over.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(name: &'static str, kind: Kind, minutes: u64) -> Timing {
        Timing { name, kind, took: Duration::from_secs(minutes * 60) }
    }

    #[test]
    fn each_kind_has_its_own_budget() {
        let fine = [timing("clippy", Kind::Check, 17), timing("test-drivers", Kind::Test, 25)];
        assert!(over_budget(&fine).is_empty());
        let slow =
            [timing("clippy", Kind::Check, 10), timing("docs", Kind::Check, 8), timing("t", Kind::Test, 3)];
        let over = over_budget(&slow);
        assert_eq!(over.len(), 1);
        assert!(over[0].starts_with("build and checks took 18.0 minutes"), "{}", over[0]);
    }

    #[test]
    fn the_table_ends_with_the_sums() {
        let rows = rows(&[timing("clippy", Kind::Check, 2), timing("docs", Kind::Check, 1)]);
        assert_eq!(rows[2], ["sum of build and checks", "3.0"]);
        assert_eq!(rows[3], ["sum of tests", "0.0"]);
    }
}
