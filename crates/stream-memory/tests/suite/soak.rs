//! A night's worth of seeds and of jobs: each has a sibling of a hundredth that runs always.
//!
//! `STREAM_TEST_SEED` is the first seed, `STREAM_TEST_SEEDS` how many there are.

use std::env;

use stream_testkit::soak_is_run;

use crate::consumer::{
    cut_off::{
        consumers_dropped, handlers_aborted, handlers_aborted_on_limited_stores, pushes_dropped,
        runtime_shut_down, with_seed,
    },
    outages::books_balance,
    scale::work_a_backlog,
};

const SEEDS: u64 = 5_000;
const BACKLOG: usize = 1_000_000;

/// Tries a scenario for each seed; the one that fails is the last that is printed.
fn for_each_seed(case: &str, scenario: impl Fn(u64)) {
    if !soak_is_run(case) {
        return;
    }
    let number = |name, unless_set| env::var(name).map_or(unless_set, |text| text.parse().unwrap());
    let first = number("STREAM_TEST_SEED", 100_000);
    for seed in first..first + number("STREAM_TEST_SEEDS", SEEDS) {
        println!("{case}: seed {seed}");
        scenario(seed);
    }
}

#[test]
fn books_balance_on_a_faulty_store() {
    for_each_seed("soak::books_balance_on_a_faulty_store", |seed| with_seed(seed, books_balance));
}

#[test]
fn dropped_pushes_lose_and_double_nothing() {
    for_each_seed("soak::dropped_pushes_lose_and_double_nothing", |seed| with_seed(seed, pushes_dropped));
}

#[test]
fn dropped_consumers_lose_and_double_nothing() {
    let case = "soak::dropped_consumers_lose_and_double_nothing";
    for_each_seed(case, |seed| with_seed(seed, consumers_dropped));
}

#[test]
fn aborted_handlers_run_again_and_end_once() {
    for_each_seed("soak::aborted_handlers_run_again_and_end_once", |seed| with_seed(seed, handlers_aborted));
}

#[test]
fn aborted_handlers_on_limited_stores_run_again_and_end_once() {
    let case = "soak::aborted_handlers_on_limited_stores_run_again_and_end_once";
    for_each_seed(case, |seed| with_seed(seed, handlers_aborted_on_limited_stores));
}

#[test]
fn runtimes_that_are_shut_down_take_no_job_with_them() {
    for_each_seed("soak::runtimes_that_are_shut_down_take_no_job_with_them", runtime_shut_down);
}

#[test]
fn million_waiting_jobs_are_worked_and_never_held() {
    if soak_is_run("soak::million_waiting_jobs_are_worked_and_never_held") {
        with_seed(0, |_| work_a_backlog(BACKLOG));
    }
}
