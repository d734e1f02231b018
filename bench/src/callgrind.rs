//! Counts instructions per job: runs the program `instructions` under valgrind.

use std::{
    env,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    budget::{Budget, Judged},
    statistics::Spread,
    text::table,
};

/// The jobs of the shorter run; the longer one has twice as many.
const JOBS: u64 = 2_000;
/// Hash keys are random, and with them some ways through the maps: the median of so many runs counts.
const RUNS: usize = 3;
const PUSH: &str = "push_many";
/// They begin with the same pushes, whose part is taken off.
const AFTER_PUSH: [&str; 2] = ["reserve_settle", "consumer"];

/// Counts each stage and compares it with the budget; fails only if `is_check`.
pub(crate) fn run(budget: &Path, is_check: bool) -> Result<ExitCode> {
    if !is_installed()? {
        println!("not checked: valgrind is not installed");
        return Ok(ExitCode::SUCCESS);
    }
    let budget = Budget::read(budget)?;
    if budget.rustc != env!("STREAM_BENCH_RUSTC") {
        println!("the budget is of {}, this is {}", budget.rustc, env!("STREAM_BENCH_RUSTC"));
    }
    let program = sibling()?;
    let push = per_job(&program, PUSH)?;
    let mut judged = vec![budget.judge(PUSH, push)];
    for stage in AFTER_PUSH {
        judged.push(budget.judge(stage, per_job(&program, stage)? - push));
    }
    print!("{}", table(&rows(&judged)));
    let too_dear = judged.iter().any(Judged::is_too_dear);
    if judged.iter().any(Judged::is_far_below) {
        println!("far below the budget: lower it in the commit that won this, and say what did");
    }
    match (too_dear, is_check) {
        (true, true) => Ok(ExitCode::FAILURE),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn rows(judged: &[Judged]) -> Vec<Vec<String>> {
    let head = ["instructions per job", "counted", "budget", "change", ""].map(str::to_owned).to_vec();
    let row = |one: &Judged| {
        let none = || "-".to_owned();
        vec![
            one.stage.clone(),
            format!("{:.0}", one.counted),
            one.budget.map_or_else(none, |budget| budget.to_string()),
            one.change_percent.map_or_else(none, |change| format!("{change:+.1} %")),
            if one.is_too_dear() { "too dear".to_owned() } else { String::new() },
        ]
    };
    [head].into_iter().chain(judged.iter().map(row)).collect()
}

/// What a job adds: two runs differ by their jobs alone, so the start of the program falls out.
fn per_job(program: &Path, stage: &str) -> Result<f64> {
    let (short, long) = (counts(program, stage, JOBS)?, counts(program, stage, 2 * JOBS)?);
    ensure!(long > short, "{stage}: {long} instructions for twice the jobs of {short}");
    Ok((long - short) / JOBS as f64)
}

fn counts(program: &Path, stage: &str, jobs: u64) -> Result<f64> {
    let runs = (0..RUNS).map(|_| count(program, stage, jobs).map(|count| count as f64));
    let runs = runs.collect::<Result<Vec<_>>>()?;
    Ok(Spread::of(&runs).context("no run was counted")?.median)
}

fn count(program: &Path, stage: &str, jobs: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([stage, &jobs.to_string()])
        .output()
        .context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{stage} has failed under valgrind:\n{said}");
    collected(&said).with_context(|| format!("valgrind has not said what it counted:\n{said}"))
}

/// The number in `==7== Collected : 123`.
fn collected(said: &str) -> Option<u64> {
    let lines = said.lines().filter_map(|line| line.split_once("Collected :"));
    lines.filter_map(|(_, count)| count.trim().parse().ok()).next()
}

fn is_installed() -> Result<bool> {
    match Command::new("valgrind").arg("--version").output() {
        Ok(output) => Ok(output.status.success()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("cannot run valgrind"),
    }
}

/// The program is built beside this one.
fn sibling() -> Result<PathBuf> {
    let program = env::current_exe().context("this program has no path")?.with_file_name("instructions");
    if !program.exists() {
        bail!("{} is not there: build the whole package stream-bench, in release", program.display());
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_what_valgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n==7== I   refs:      123,456\n";
        assert_eq!(collected(said), Some(123_456));
        assert_eq!(collected("==7== Events : Ir"), None);
    }
}
