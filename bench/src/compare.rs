//! Two runs side by side. Pure.

use crate::{
    report::{DriverReport, Figure, Report},
    statistics::change_percent,
    text::{spread, table},
};

/// A table for each driver that both runs measured.
pub(crate) fn report(old: &Report, new: &Report) -> String {
    let mut text = String::from("compared with the older run\n");
    for (what, older, newer) in differences(old, new) {
        text += &format!("  {what} differs: {older} before, {newer} now\n");
    }
    for driver in &new.drivers {
        match old.drivers.iter().find(|older| older.name == driver.name) {
            Some(older) => text += &format!("\n{}\n{}", driver.name, figures(older, driver)),
            None => text += &format!("\n{}: not in the older run\n", driver.name),
        }
    }
    text
}

/// What makes two runs hard to compare.
fn differences(old: &Report, new: &Report) -> Vec<(&'static str, String, String)> {
    let machine = |report: &Report| format!("{} x {}", report.machine.cores, report.machine.model);
    let extent = |report: &Report| if report.is_quick { "quick" } else { "full" }.to_owned();
    let load = |report: &Report| format!("{} to {}", report.load_before, report.load_after);
    let latency = |report: &Report| format!("{} ms", report.latency_ms);
    let commit = |report: &Report| report.versions.commit.clone().unwrap_or_default();
    let all = [
        ("machine", machine(old), machine(new)),
        ("kernel", old.machine.kernel.clone(), new.machine.kernel.clone()),
        ("compiler", old.versions.rustc.clone(), new.versions.rustc.clone()),
        ("commit", commit(old), commit(new)),
        ("crates", old.versions.crates.join(", "), new.versions.crates.join(", ")),
        ("extent", extent(old), extent(new)),
        ("added latency", latency(old), latency(new)),
        ("load", load(old), load(new)),
    ];
    all.into_iter().filter(|(_, old, new)| old != new).collect()
}

fn figures(old: &DriverReport, new: &DriverReport) -> String {
    let head = ["", "before", "now", "change", "", "ratio before", "ratio now"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(new.figures.iter().map(|figure| row(old.figure(&figure.load), figure)));
    let is_gone = |figure: &&Figure| new.figure(&figure.load).is_none();
    rows.extend(
        old.figures
            .iter()
            .filter(is_gone)
            .map(|figure| vec![figure.load.clone(), spread(&figure.driver, figure.unit), "-".to_owned()]),
    );
    table(&rows)
}

fn row(old: Option<&Figure>, new: &Figure) -> Vec<String> {
    let now = spread(&new.driver, new.unit);
    let Some(old) = old else { return vec![new.load.clone(), "-".to_owned(), now] };
    let change = change_percent(old.driver.median, new.driver.median);
    let percent = change.map_or_else(|| "-".to_owned(), |change| format!("{change:+.1} %"));
    let ratio =
        |figure: &Figure| figure.ratio.map_or_else(String::new, |ratio| format!("{:.3}", ratio.median));
    let before = spread(&old.driver, old.unit);
    vec![new.load.clone(), before, now, percent, judge(old, new).to_owned(), ratio(old), ratio(new)]
}

/// Better or worse only where no round of one run could be a round of the other.
fn judge(old: &Figure, new: &Figure) -> &'static str {
    if !old.driver.is_known() || !new.driver.is_known() {
        return "";
    }
    if old.driver.overlaps(&new.driver) {
        return "within spread";
    }
    let is_higher = new.driver.median > old.driver.median;
    if is_higher == new.unit.is_better_higher() { "better" } else { "worse" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;

    fn figure(unit: Unit, rounds: &[f64]) -> Figure {
        Figure::new("load", unit, rounds).unwrap()
    }

    #[test]
    fn a_change_is_shown_in_per_cent_beside_both_figures() {
        let (old, new) = (figure(Unit::JobsPerSecond, &[1_000.0]), figure(Unit::JobsPerSecond, &[1_250.0]));
        assert_eq!(row(Some(&old), &new)[..5], ["load", "1000/s", "1250/s", "+25.0 %", ""]);
        assert_eq!(row(None, &new), ["load", "-", "1250/s"]);
    }

    #[test]
    fn more_jobs_are_better_and_more_time_is_worse() {
        let rounds = |unit, value: f64| figure(unit, &[value, value + 0.1]);
        let judged = |unit, old: f64, new: f64| judge(&rounds(unit, old), &rounds(unit, new));
        assert_eq!(judged(Unit::JobsPerSecond, 1.0, 2.0), "better");
        assert_eq!(judged(Unit::JobsPerSecond, 2.0, 1.0), "worse");
        assert_eq!(judged(Unit::Microseconds, 1.0, 2.0), "worse");
        assert_eq!(judged(Unit::Microseconds, 2.0, 1.0), "better");
    }

    #[test]
    fn rounds_that_overlap_are_no_difference() {
        let (old, new) = (figure(Unit::JobsPerSecond, &[1.0, 3.0]), figure(Unit::JobsPerSecond, &[2.0, 9.0]));
        assert_eq!(judge(&old, &new), "within spread");
    }
}
