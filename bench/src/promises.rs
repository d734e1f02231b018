//! What was promised, and whether a run reached it. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    idle,
    job::Kind,
    loads::Load,
    report::{DriverReport, Figure, Unit},
};

/// Microseconds of CPU per no-op job that a worker may take beside its driver.
const WORKER_OVERHEAD_US: f64 = 3.0;
/// How much more a reserve may cost with the longest backlog than with the shortest.
const BACKLOG_TIMES: f64 = 1.5;
/// The settings of a consumer among which a user picks the best one.
const WORKERS: [usize; 3] = [10, 100, 1_000];

/// What has to be reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    what: &'static str,
    measure: Measure,
    bound: Bound,
}

impl Promise {
    pub(crate) const fn new(what: &'static str, measure: Measure, bound: Bound) -> Self {
        Self { what, measure, bound }
    }
}

/// Where the figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The best of `push_many`.
    BestPush,
    /// The best of no-op jobs through the consumer.
    BestWorked,
    /// CPU of the consumer at its best setting, less that of the bare driver.
    WorkerOverhead,
    /// The cost of a reserve with the longest backlog in terms of that with the shortest.
    Backlog,
    /// Of an idle worker.
    IdleCpu,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Whether a promise was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) found: f64,
    pub(crate) is_reached: bool,
}

/// What is promised of every driver.
pub(crate) fn of_all() -> Vec<Promise> {
    vec![
        Promise::new(
            "worker overhead, microseconds of CPU per no-op job",
            Measure::WorkerOverhead,
            Bound::AtMost(WORKER_OVERHEAD_US),
        ),
        Promise::new(
            "reserve with the longest backlog, times the shortest",
            Measure::Backlog,
            Bound::AtMost(BACKLOG_TIMES),
        ),
    ]
}

/// Compares what was promised with what was measured; what was not measured is left out.
pub(crate) fn judge(promises: &[Promise], report: &DriverReport) -> Vec<Verdict> {
    let judged = promises.iter().filter_map(|promise| {
        let found = find(promise.measure, report)?;
        let (wanted, is_reached) = match promise.bound {
            Bound::AtLeast(least) => (format!(">= {least}"), found >= least),
            Bound::AtMost(most) => (format!("<= {most}"), found <= most),
        };
        Some(Verdict { what: promise.what.to_owned(), wanted, found, is_reached })
    });
    judged.collect()
}

/// What the consumer takes beside the driver: its CPU less that of bare calls in batches as large.
pub(crate) fn worker_overheads(report: &DriverReport) -> Vec<Figure> {
    let cpu = |load: Load| Some(report.figure(&load.name())?.cpu_us?.median);
    let overhead = |workers: usize| {
        let bare = cpu(Load::ReserveSettle { batch: workers.min(100) })?;
        let consumer = cpu(Load::Work { workers, kind: Kind::NoOp })?;
        let figure = Figure::new(overhead_name(workers), Unit::Microseconds, &[consumer - bare]).ok()?;
        Some(figure.note(format!("{consumer:.2} less {bare:.2} of CPU")))
    };
    [1].into_iter().chain(WORKERS).filter_map(overhead).collect()
}

fn overhead_name(workers: usize) -> String {
    format!("worker overhead, {workers} worker{}", if workers == 1 { "" } else { "s" })
}

fn find(measure: Measure, report: &DriverReport) -> Option<f64> {
    let median = |name: &str| Some(report.figure(name)?.driver.median);
    let no_op = |workers| Load::Work { workers, kind: Kind::NoOp }.name();
    match measure {
        Measure::BestPush => {
            let speeds = [100, 1_000].map(|batch| median(&Load::PushMany { batch }.name()));
            speeds.into_iter().flatten().max_by(f64::total_cmp)
        }
        Measure::BestWorked => {
            WORKERS.into_iter().filter_map(|workers| median(&no_op(workers))).max_by(f64::total_cmp)
        }
        Measure::WorkerOverhead => {
            let speed = |workers: &usize| median(&no_op(*workers)).unwrap_or_default();
            let best = WORKERS.into_iter().max_by(|a, b| speed(a).total_cmp(&speed(b)))?;
            median(&overhead_name(best))
        }
        Measure::Backlog => {
            let mut backlogs = report.figures.iter().filter(|figure| figure.load.starts_with("reserve at "));
            let first = backlogs.next()?.driver.median;
            Some(backlogs.next_back()?.driver.median / first)
        }
        Measure::IdleCpu => median(idle::CPU),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(figures: &[(&str, f64, f64)]) -> DriverReport {
        let figure = |(load, speed, cpu): &(&str, f64, f64)| {
            Figure::new(*load, Unit::JobsPerSecond, &[*speed]).unwrap().cpu_us(&[*cpu])
        };
        let figures = figures.iter().map(figure).collect();
        let (settings, verdicts) = (Vec::new(), Vec::new());
        DriverReport { name: "x".into(), settings, raw_is: String::new(), figures, verdicts }
    }

    #[test]
    fn the_overhead_is_that_of_the_fastest_setting() {
        let mut report = report(&[
            ("bare reserve + settle, batches of 10", 1.0, 2.0),
            ("bare reserve + settle, batches of 100", 1.0, 1.0),
            ("consumer, no-op, 10 workers", 500.0, 9.0),
            ("consumer, no-op, 100 workers", 900.0, 5.0),
        ]);
        report.figures.extend(worker_overheads(&report));
        assert_eq!(report.figure("worker overhead, 10 workers").unwrap().driver.median, 7.0);
        let verdicts = judge(&of_all(), &report);
        assert_eq!(verdicts.len(), 1, "the backlog was not measured: {verdicts:?}");
        assert_eq!((verdicts[0].found, verdicts[0].is_reached), (4.0, false));
    }

    #[test]
    fn the_best_setting_is_compared_with_the_bound() {
        let report =
            report(&[("push_many, batches of 100", 2.0, 1.0), ("push_many, batches of 1000", 3.0, 1.0)]);
        let judged = |bound| judge(&[Promise::new("pushed", Measure::BestPush, bound)], &report)[0].clone();
        assert!(judged(Bound::AtLeast(3.0)).is_reached);
        assert!(!judged(Bound::AtLeast(3.1)).is_reached);
        assert_eq!(judged(Bound::AtMost(4.0)).found, 3.0);
    }

    #[test]
    fn the_longest_backlog_is_compared_with_the_shortest() {
        let report =
            report(&[("reserve at 1000 waiting", 2.0, 0.0), ("reserve at 100000 waiting", 5.0, 0.0)]);
        assert_eq!(find(Measure::Backlog, &report), Some(2.5));
    }
}
