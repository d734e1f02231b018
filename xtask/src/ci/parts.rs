//! The parts of `cargo xtask ci`, in the order in which they run.

use std::process::Command;

use anyhow::Result;

use super::{deny, is_ci};
use crate::drivers::Selection;
use crate::drivers::catalogue::DRIVERS;
use crate::process::{self, cargo};
use crate::services::rehearsal;
use crate::workspace::{Package, Workspace};
use crate::{bench, capabilities, drivers, outside, size, tidy};

/// Which budget a part draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Check,
    Test,
}

/// One step of the whole.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether it belongs to `--quick`.
    pub(super) is_quick: bool,
    pub(super) step: Step,
}

/// What a part does.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Plain(fn(&Workspace) -> Result<()>),
    /// Needs servers, which may have to be installed.
    OnServers(fn(&Workspace, &Selection) -> Result<()>),
}

const fn check(name: &'static str, run: fn(&Workspace) -> Result<()>) -> Part {
    Part { name, kind: Kind::Check, is_quick: false, step: Step::Plain(run) }
}

const fn test(name: &'static str, run: fn(&Workspace) -> Result<()>) -> Part {
    Part { name, kind: Kind::Test, is_quick: false, step: Step::Plain(run) }
}

const fn on_servers(name: &'static str, run: fn(&Workspace, &Selection) -> Result<()>) -> Part {
    Part { name, kind: Kind::Test, is_quick: false, step: Step::OnServers(run) }
}

const fn quick(part: Part) -> Part {
    Part { is_quick: true, ..part }
}

/// Cheap parts first, so that a small mistake is told early.
pub(super) const PARTS: [Part; 15] = [
    quick(check("fmt", fmt)),
    quick(check("clippy", clippy)),
    check("docs", docs),
    quick(check("tidy", tidy::run)),
    quick(check("size", size::run)),
    check("deny", deny::run),
    check("each-alone", each_alone),
    check("capabilities", capabilities::check),
    check("instructions", bench::instructions),
    on_servers("services", rehearse_services),
    quick(on_servers("test-drivers", drivers::run)),
    test("other-tests", other_tests),
    test("examples", examples),
    check("publish", publish),
    check("outside", outside::run),
];

fn run(workspace: &Workspace, mut command: Command) -> Result<()> {
    process::run(command.current_dir(&workspace.root))
}

fn fmt(workspace: &Workspace) -> Result<()> {
    run(workspace, cargo(["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let words = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    run(workspace, cargo(words))
}

fn docs(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(workspace, command)
}

/// Built together, one crate may live on features that another asked for.
fn each_alone(workspace: &Workspace) -> Result<()> {
    for package in workspace.crates() {
        run(workspace, alone(package, &[]))?;
        if package.features.contains_key("default") {
            run(workspace, alone(package, &["--no-default-features"]))?;
        }
        // Such as the databases of one driver, each of which has to compile without the others.
        for feature in package.features.keys().filter(|feature| *feature != "default") {
            run(workspace, alone(package, &["--no-default-features", "--features", feature]))?;
        }
    }
    Ok(())
}

/// Clippy rather than check: code that is dead without a feature is found as well.
fn alone(package: &Package, flags: &[&str]) -> Command {
    let mut command = cargo(["clippy", "-p", &package.name]);
    command.args(flags).args(["--", "-D", "warnings"]);
    command
}

/// That every main server can be had, disturbed and brought back, whichever drivers there are.
fn rehearse_services(workspace: &Workspace, selection: &Selection) -> Result<()> {
    rehearsal::run(workspace, selection.if_missing())
}

/// The tests of the members that are no row of `test-drivers`.
fn other_tests(workspace: &Workspace) -> Result<()> {
    let is_other = |package: &&Package| !DRIVERS.iter().any(|driver| driver.package == package.name);
    let mut command = cargo(["test", "--all-features"]);
    for package in workspace.packages.iter().filter(is_other) {
        command.args(["-p", &package.name]);
    }
    run(workspace, command)
}

fn examples(workspace: &Workspace) -> Result<()> {
    let example = ["run", "-q", "-p", "stream-examples", "--example"];
    run(workspace, cargo(example.into_iter().chain(["quickstart"])))?;
    run(workspace, cargo(example.into_iter().chain(["checksums", "--", "docs"])))
}

/// Built from the package as users get it; the rest is packed only, since building all of it twice costs minutes.
const VERIFIED: [&str; 2] = ["stream-core", "stream-memory"];

/// Several packages at once, so that cargo finds those that no registry has yet among the others.
fn publish(workspace: &Workspace) -> Result<()> {
    let verified = VERIFIED.iter().flat_map(|name| ["-p", name]);
    run(workspace, dry_run(verified))?;
    run(workspace, dry_run(["--workspace", "--no-verify"]))
}

fn dry_run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = cargo(["publish", "--dry-run"]);
    command.args(arguments);
    if !is_ci() {
        command.arg("--allow-dirty");
    }
    command
}
