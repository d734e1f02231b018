//! What a run found, as it is written to a file and read again.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    machine::{Machine, Versions},
    promises::Verdict,
    statistics::Spread,
};

/// Raised when an older program could not read the file.
const FORMAT: u32 = 1;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    format: u32,
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    /// A quick run has one short round each: it shows that everything works, its figures are rough.
    pub(crate) is_quick: bool,
    pub(crate) rounds: usize,
    pub(crate) payload_bytes: usize,
    pub(crate) latency_ms: u64,
    pub(crate) load_before: String,
    pub(crate) load_after: String,
    pub(crate) drivers: Vec<DriverReport>,
}

/// What one driver reached.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DriverReport {
    pub(crate) name: String,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) raw_is: String,
    pub(crate) figures: Vec<Figure>,
    pub(crate) verdicts: Vec<Verdict>,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) load: String,
    pub(crate) unit: Unit,
    /// In one round.
    pub(crate) jobs: Option<u64>,
    pub(crate) driver: Spread,
    pub(crate) raw: Option<Spread>,
    /// Of the driver's figure to the raw loop's of the same round.
    pub(crate) ratio: Option<Spread>,
    pub(crate) ratio_floor: Option<f64>,
    /// What the raw loop reached elsewhere.
    pub(crate) raw_floor: Option<f64>,
    /// Microseconds of this process for a job, on the driver.
    pub(crate) cpu_us: Option<Spread>,
    pub(crate) note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    JobsPerSecond,
    Microseconds,
    /// Of one core.
    Percent,
    Bytes,
    PerMinute,
}

impl Unit {
    pub(crate) fn is_better_higher(self) -> bool {
        self == Self::JobsPerSecond
    }
}

impl Figure {
    /// One value for each round.
    pub(crate) fn new(load: impl Into<String>, unit: Unit, rounds: &[f64]) -> Result<Self> {
        let load = load.into();
        let driver = Spread::of(rounds).with_context(|| format!("{load}: no round was measured"))?;
        let (jobs, raw, ratio, ratio_floor, raw_floor, cpu_us, note) = Default::default();
        Ok(Self { load, unit, jobs, driver, raw, ratio, ratio_floor, raw_floor, cpu_us, note })
    }

    pub(crate) fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = Some(jobs as u64);
        self
    }

    pub(crate) fn raw(mut self, rounds: &[f64], ratios: &[f64]) -> Self {
        (self.raw, self.ratio) = (Spread::of(rounds), Spread::of(ratios));
        self
    }

    pub(crate) fn floors(mut self, ratio: Option<f64>, raw: Option<f64>) -> Self {
        (self.ratio_floor, self.raw_floor) = (ratio, raw);
        self
    }

    pub(crate) fn cpu_us(mut self, rounds: &[f64]) -> Self {
        self.cpu_us = Spread::of(rounds);
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// A raw loop below half of what it reached elsewhere says nothing about the driver beside it.
    pub(crate) fn raw_counts(&self) -> bool {
        match (self.raw, self.raw_floor) {
            (Some(raw), Some(floor)) => raw.median >= floor / 2.0,
            _ => true,
        }
    }
}

impl DriverReport {
    pub(crate) fn figure(&self, load: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.load == load)
    }
}

impl Report {
    /// A run that begins now.
    pub(crate) fn begin(versions: Versions, is_quick: bool, rounds: usize, latency_ms: u64) -> Self {
        Self {
            format: FORMAT,
            machine: Machine::look(),
            versions,
            is_quick,
            rounds,
            payload_bytes: crate::job::PAYLOAD_BYTES,
            latency_ms,
            load_before: crate::machine::load_average(),
            load_after: String::new(),
            drivers: Vec::new(),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let report: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))?;
        let (has, path) = (report.format, path.display());
        ensure!(has == FORMAT, "{path} has the format {has}, this program reads {FORMAT}");
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_loop_below_half_of_its_floor_does_not_count() {
        let figure = |floor| {
            let figure = Figure::new("load", Unit::JobsPerSecond, &[1.0]).unwrap();
            figure.raw(&[49.0], &[1.0]).floors(None, floor)
        };
        assert!(figure(None).raw_counts());
        assert!(figure(Some(98.0)).raw_counts());
        assert!(!figure(Some(100.0)).raw_counts());
    }

    #[test]
    fn a_report_survives_its_file_format() {
        let mut report = Report::begin(Versions::look(&["tokio"]), true, 1, 0);
        let figures = vec![Figure::new("load", Unit::JobsPerSecond, &[1.5]).unwrap().jobs(7)];
        let (settings, verdicts) = (vec![("fsync".into(), "on".into())], Vec::new());
        report.drivers.push(DriverReport {
            name: "memory".into(),
            settings,
            raw_is: "raw".into(),
            figures,
            verdicts,
        });
        let read: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(read.drivers[0].figure("load").unwrap().jobs, Some(7));
        assert_eq!(read.machine.kernel, report.machine.kernel);
    }
}
