//! `cargo xtask test-drivers`: every test of every driver, counted honestly.

mod accounting;
pub(crate) mod backends;
pub(crate) mod catalogue;
pub(crate) mod selection;
mod suite;

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use self::accounting::{Account, Tally};
use self::backends::{Backends, Environment};
use self::catalogue::{Driver, Standing};
pub(crate) use self::selection::Selection;
use self::suite::Tier;
use crate::process;
use crate::services::install::{self, IfMissing};
use crate::services::instance::Base;
use crate::table;
use crate::workspace::{Package, Workspace};

/// What one tier of one driver came to.
struct Row {
    driver: &'static Driver,
    tier: String,
    account: Account,
    took: Duration,
}

/// Why the tests as a whole failed. It is told above the closing line, and nothing may follow that line.
#[derive(Debug)]
pub(crate) struct NotAllPassed(String);

impl fmt::Display for NotAllPassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NotAllPassed {}

/// Tests the selected drivers on the servers they need; prints the tables and the closing line.
pub(crate) fn run(workspace: &Workspace, selection: &Selection) -> Result<()> {
    let drivers = catalogue::select(&selection.drivers, selection.extras())?;
    let services = backends::needed(&drivers)?;
    if selection.if_missing() == IfMissing::Refuse {
        backends::refuse_if_missing(&services)?;
    }
    let packages =
        drivers.iter().map(|driver| workspace.package(driver.package)).collect::<Result<Vec<_>>>()?;
    let reports = empty_reports(workspace)?;

    // Servers are installed and start while the code compiles: one waits for the network, the other for the processor.
    let (backends, built) = thread::scope(|scope| {
        let backends = scope.spawn(|| Backends::up(workspace, services, selection));
        let began = Instant::now();
        let built = packages.iter().try_for_each(|package| build(workspace, package));
        println!("built after {:.1} s", began.elapsed().as_secs_f64());
        (backends.join().expect("starting servers does not panic"), built)
    });
    let backends = backends?;
    let rows = built.and_then(|()| {
        let mut rows = Vec::new();
        let wanted = drivers.iter().zip(packages).filter(|(driver, _)| !backends.lacks_extra(driver));
        for (driver, package) in wanted {
            let found = test_package(workspace, (driver, package), selection, &backends, &reports, &mut rows);
            found.with_context(|| format!("testing {}", driver.name))?;
        }
        Ok(rows)
    });
    backends.down()?;
    fs::remove_dir_all(&reports).context("cannot remove the folder of reports")?;
    conclude(&rows?)
}

/// Installs what the main drivers need, so that this can go on beside other work.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    let drivers = catalogue::select(&[], Selection::default().extras())?;
    let services = backends::needed(&drivers)?;
    install::ensure(&services, IfMissing::Install, &Base::below(&workspace.target)?.shared())
}

fn empty_reports(workspace: &Workspace) -> Result<PathBuf> {
    // A folder of its own for each run: two at once must not read each other's reports.
    let reports = workspace.target.join("test-reports").join(std::process::id().to_string());
    if reports.exists() {
        fs::remove_dir_all(&reports).context("cannot empty the folder of reports")?;
    }
    fs::create_dir_all(&reports).context("cannot create the folder of reports")?;
    Ok(reports)
}

fn build(workspace: &Workspace, package: &Package) -> Result<()> {
    let mut command = process::cargo(["test", "-p", &package.name, "--all-features", "--no-run"]);
    process::run(command.current_dir(&workspace.root))
}

fn test_package(
    workspace: &Workspace,
    (driver, package): (&'static Driver, &Package),
    selection: &Selection,
    backends: &Backends,
    reports: &Path,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let environment = backends.environment(driver)?;
    let tiers = suite::tiers(workspace, package, driver)?;
    if let (Some(module), []) = (driver.part.name(), &*tiers) {
        bail!("no test of {} is in a module {module} below its tier", package.name);
    }
    for tier in tiers.into_iter().filter(|tier| selection.tier.includes(&tier.name)) {
        println!("\n== {} · {}", driver.name, tier.name);
        let report = reports.join(format!("{}-{}-{}.tsv", driver.name, tier.target.label(), tier.name));
        rows.push(test_tier(workspace, (driver, package), tier, &environment, &report)?);
    }
    Ok(())
}

fn test_tier(
    workspace: &Workspace,
    (driver, package): (&'static Driver, &Package),
    tier: Tier,
    environment: &Environment,
    report: &Path,
) -> Result<Row> {
    let mut environment = environment.clone();
    if let Some(cases) = driver.cases_at_once.filter(|_| tier.name == "conformance") {
        environment.push(("RUST_TEST_THREADS", cases.to_string()));
    }
    let run = suite::run(workspace, package, &tier, &environment, report)?;
    let account = accounting::account(&tier.tests, &run);
    for (case, reason) in &account.skips {
        println!("skipped {case}: {reason}");
    }
    for problem in &account.problems {
        println!("accounting: {problem}");
    }
    Ok(Row { driver, tier: tier.name, account, took: run.took })
}

fn conclude(rows: &[Row]) -> Result<()> {
    let (rows, extras): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.driver.standing == Standing::Main);
    if !extras.is_empty() {
        println!("\nextras, which decide nothing:\n{}", render(&extras));
    }
    let total: Tally = rows.iter().map(|row| row.account.tally).sum();
    let problems: usize = rows.iter().map(|row| row.account.problems.len()).sum();
    let verdict = judge(total, problems, skips_are_failures());

    println!("\n{}", render(&rows));
    if let Err(reason) = &verdict {
        println!("test-drivers failed: {reason}");
    }
    // People and programs look for the closing line at the very end.
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    match verdict {
        Ok(()) => Ok(()),
        Err(reason) => Err(NotAllPassed(reason).into()),
    }
}

fn render(rows: &[&Row]) -> String {
    table::render(&["driver", "tier", ">passed", ">failed", ">skipped", ">seconds"], &cells(rows))
}

fn cells(rows: &[&Row]) -> Vec<Vec<String>> {
    let cells = rows.iter().map(|row| {
        let Tally { passed, failed, skipped } = row.account.tally;
        let numbers = [passed, failed, skipped].map(|number| number.to_string());
        let words = [row.driver.name.to_owned(), row.tier.clone()];
        let seconds = format!("{:.1}", row.took.as_secs_f64());
        words.into_iter().chain(numbers).chain([seconds]).collect()
    });
    cells.collect()
}

/// Skips are failures unless `STREAM_TEST_REQUIRE` is set to something else than `all`.
fn skips_are_failures() -> bool {
    suite::required() == "all"
}

fn judge(total: Tally, problems: usize, skips_are_failures: bool) -> Result<(), String> {
    let mut reasons = Vec::new();
    if total.failed > 0 {
        reasons.push(format!("{} failed", total.failed));
    }
    if total.passed == 0 {
        reasons.push("nothing passed".to_owned());
    }
    if problems > 0 {
        reasons.push(format!("the accounting is off in {problems} places, see above"));
    }
    if skips_are_failures && total.skipped > 0 {
        reasons.push(format!("{} skipped while STREAM_TEST_REQUIRE=all", total.skipped));
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Tally = Tally { passed: 3, failed: 0, skipped: 0 };

    #[test]
    fn all_passed_is_a_success() {
        assert_eq!(judge(FINE, 0, true), Ok(()));
    }

    #[test]
    fn failures_bad_accounting_and_an_empty_run_are_failures() {
        assert!(judge(Tally { failed: 1, ..FINE }, 0, false).is_err());
        assert!(judge(FINE, 1, false).is_err());
        assert!(judge(Tally::default(), 0, false).is_err());
    }

    #[test]
    fn skips_fail_only_where_all_is_required() {
        let skipped = Tally { skipped: 1, ..FINE };
        assert!(judge(skipped, 0, true).is_err());
        assert_eq!(judge(skipped, 0, false), Ok(()));
    }
}
