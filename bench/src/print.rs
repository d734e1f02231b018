//! A report as text.

use crate::{
    machine::{Machine, Versions},
    report::{DriverReport, Figure, Report},
    text::{self, spread, table},
};

/// Where and how, then a table and the promises of each driver.
pub(crate) fn report(report: &Report) -> String {
    let mut text = place(report);
    for driver in &report.drivers {
        text += &format!("\n{}\n", driver.name);
        for (name, setting) in &driver.settings {
            text += &format!("  {name}: {setting}\n");
        }
        text += &format!("  raw loop: {}\n\n", driver.raw_is);
        text += &figures(driver);
        text += &format!("\n{}", promises(driver));
    }
    text
}

/// Machine, versions, settings and load.
fn place(report: &Report) -> String {
    let Machine { cores, model, memory_mib, kernel } = &report.machine;
    let Versions { rustc, commit, crates, is_release } = &report.versions;
    let extent = if report.is_quick { "quick run: figures are rough" } else { "full run" };
    let rounds = if report.rounds == 1 { "1 round" } else { &format!("{} rounds", report.rounds) };
    let latency = match report.latency_ms {
        0 => "none".to_owned(),
        ms => format!("{ms} ms"),
    };
    let mut text = format!(
        "machine   {cores} cores, {model}, {memory_mib} MiB, Linux {kernel}\n\
         versions  {rustc}; {}{}\n\
         settings  {extent}, {rounds}, payload {} B, added latency {latency}\n\
         load      {} before, {} after (1, 5, 15 minutes)\n",
        crates.join(", "),
        commit.as_ref().map_or_else(String::new, |commit| format!("; commit {commit}")),
        report.payload_bytes,
        report.load_before,
        report.load_after,
    );
    if is_busy(&report.load_before, *cores) {
        text +=
            "warning   others use this machine: speeds are too low, and CPU per job is another than alone\n";
    }
    if !is_release {
        text += "warning   not a release build: these figures say nothing\n";
    }
    text
}

/// Whether more than a quarter of the cores were taken before the run began.
fn is_busy(load: &str, cores: usize) -> bool {
    let last_minute = load.split(' ').next().and_then(|number| number.parse::<f64>().ok());
    last_minute.is_some_and(|load| load > cores as f64 / 4.0)
}

fn figures(driver: &DriverReport) -> String {
    let head = ["", "driver", "raw loop", "ratio", "floor", "CPU/job", ""].map(str::to_owned).to_vec();
    let rows: Vec<_> = [head].into_iter().chain(driver.figures.iter().map(row)).collect();
    table(&rows)
}

fn row(figure: &Figure) -> Vec<String> {
    let none = || "-".to_owned();
    let raw = figure.raw.map_or_else(none, |raw| spread(&raw, figure.unit));
    let ratio = figure.ratio.map_or_else(none, |ratio| match figure.raw_counts() {
        true => text::ratio(&ratio),
        false => "raw too slow".to_owned(),
    });
    let floor = figure.ratio_floor.map_or_else(none, |floor| match figure.ratio {
        Some(ratio) if ratio.median >= floor => format!("{floor} reached"),
        _ => format!("{floor} missed"),
    });
    let cpu = figure.cpu_us.map_or_else(none, |cpu| format!("{:.2} µs", cpu.median));
    let driver = spread(&figure.driver, figure.unit);
    let note = figure.note.clone().unwrap_or_default();
    vec![figure.load.clone(), driver, raw, ratio, floor, cpu, note]
}

fn promises(driver: &DriverReport) -> String {
    let line = |verdict: &crate::promises::Verdict| {
        let found = match verdict.found.abs() {
            1_000.0.. => format!("{:.0}", verdict.found),
            _ => format!("{:.2}", verdict.found),
        };
        let judged = if verdict.is_reached { "reached" } else { "missed" };
        vec![verdict.what.clone(), verdict.wanted.clone(), found, judged.to_owned()]
    };
    let head = ["promised", "", "found", ""].map(str::to_owned).to_vec();
    let rows: Vec<_> = [head].into_iter().chain(driver.verdicts.iter().map(line)).collect();
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_busy_when_a_quarter_of_its_cores_is_taken() {
        assert!(is_busy("0.60 0.10 0.10", 2));
        assert!(!is_busy("0.50 9.00 9.00", 2));
        assert!(!is_busy("", 2));
    }
}
