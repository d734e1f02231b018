//! What this process has used: time, CPU and memory, read from `/proc`.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// The unit of `/proc/self/stat` on every Linux of the last twenty years, `sysconf(_SC_CLK_TCK)`.
const TICK: Duration = Duration::from_millis(10);

/// One timed round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) jobs: u64,
    pub(crate) elapsed: Duration,
    /// Of all threads of this process; servers are not counted.
    pub(crate) cpu: Duration,
}

impl Round {
    pub(crate) fn per_second(&self) -> f64 {
        self.jobs as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds of CPU for each job.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.jobs as f64
    }
}

/// Measures one round.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    begun: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Result<Self> {
        let cpu = cpu()?;
        Ok(Self { begun: Instant::now(), cpu })
    }

    pub(crate) fn stop(self, jobs: usize) -> Result<Round> {
        let elapsed = self.begun.elapsed();
        Ok(Round { jobs: jobs as u64, elapsed, cpu: cpu()?.saturating_sub(self.cpu) })
    }
}

/// CPU time of all threads there are.
///
/// `schedstat` counts nanoseconds and is up to a scheduler's tick late; where the kernel has none,
/// `stat` counts hundredths of a second.
pub(crate) fn cpu() -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir("/proc/self/task").context("cannot list the threads of this process")? {
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { return ticks() };
        sum += Duration::from_nanos(first_number(&text).context("schedstat has an unknown form")?);
    }
    Ok(sum)
}

/// The resident memory of this process, in bytes.
pub(crate) fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read the status of this process")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(first_number).context("the status has no VmRSS")?;
    Ok(kilobytes * 1024)
}

fn ticks() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read the stat of this process")?;
    ticks_in(&stat).context("/proc/self/stat has an unknown form")
}

/// User and system time are the fields 14 and 15; the name, field 2, is in brackets and may hold blanks.
fn ticks_in(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11).map(str::parse::<u32>);
    Some(TICK * (times.next()?.ok()? + times.next()?.ok()?))
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticks_are_found_behind_a_name_with_blanks_and_brackets() {
        let stat = "7 (a b) c) R 1 2 3 0 -1 4 5 6 7 8 30 12 9 9 20 0";
        assert_eq!(ticks_in(stat), Some(Duration::from_millis(420)));
        assert_eq!(ticks_in("7 (a"), None);
    }

    #[test]
    fn work_costs_cpu() {
        let begun = Instant::now();
        let before = cpu().unwrap();
        while begun.elapsed() < Duration::from_millis(50) {}
        assert!(cpu().unwrap() > before);
        assert!(resident().unwrap() > 100_000);
    }

    #[test]
    fn a_round_says_jobs_per_second_and_cpu_per_job() {
        let (elapsed, cpu) = (Duration::from_millis(500), Duration::from_millis(100));
        let round = Round { jobs: 1_000, elapsed, cpu };
        assert_eq!((round.per_second(), round.cpu_us()), (2_000.0, 100.0));
    }
}
