//! One run: every measurement of every target, in order.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    backlog, idle,
    loads::{Load, Plan, Session, measure},
    machine::{Versions, load_average},
    pickup,
    promises::{judge, of_all, worker_overheads},
    report::{DriverReport, Report},
    target::Target,
};

/// The crates whose versions are printed for every driver.
const CRATES: [&str; 2] = ["stream-core", "tokio"];

/// Measures the targets one after the other; the progress goes to stderr.
///
/// `only` leaves out the loads whose name does not contain it, and what is no load.
pub(crate) async fn all(
    targets: &[Arc<dyn Target>],
    is_quick: bool,
    only: Option<&str>,
    latency_ms: u64,
) -> Result<Report> {
    let plan = if is_quick { Plan::QUICK } else { Plan::FULL };
    let mut crates = CRATES.to_vec();
    targets.iter().for_each(|target| crates.extend(target.crates()));
    let mut report = Report::begin(Versions::look(&crates), is_quick, plan.rounds, latency_ms);
    for target in targets {
        let measured = one(target, &plan, only, Duration::from_millis(latency_ms)).await;
        report.drivers.push(measured.with_context(|| target.name())?);
    }
    report.load_after = load_average();
    Ok(report)
}

async fn one(
    target: &Arc<dyn Target>,
    plan: &Plan,
    only: Option<&str>,
    latency: Duration,
) -> Result<DriverReport> {
    let session = Session::open(target.clone(), latency).await?;
    let mut report = DriverReport {
        name: target.name().to_owned(),
        settings: target.settings().await?,
        raw_is: target.raw_is().to_owned(),
        figures: Vec::new(),
        verdicts: Vec::new(),
    };
    let progress = |what: &str| eprintln!("{}: {what}", target.name());
    let mut first = Vec::new();
    if only.is_none() {
        // Memory first: later measurements leave the allocator with room that would hide what a job takes.
        progress("idle worker");
        first.extend(idle::worker(&session, plan).await?);
        progress("memory of a waiting job");
        first.push(idle::waiting_job(&session, plan).await?);
    }
    let is_wanted = |load: &Load| only.is_none_or(|text| load.name().contains(text));
    for load in Load::all().into_iter().filter(is_wanted) {
        progress(&load.name());
        report.figures.push(measure(&session, load, plan).await?);
    }
    report.figures.extend(worker_overheads(&report));
    if only.is_none() {
        progress("pick-up by an idle worker");
        report.figures.extend(pickup::measure(&session, plan).await?);
        progress("reserve with a backlog");
        report.figures.extend(backlog::measure(&session, plan).await?);
    }
    report.figures.extend(first);
    session.connection.driver.close().await?;
    let promises = [target.promises(), of_all()].concat();
    report.verdicts = judge(&promises, &report);
    Ok(report)
}
