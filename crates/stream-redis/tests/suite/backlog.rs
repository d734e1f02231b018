//! A long backlog: due, delayed and lost jobs. It drains, and no step of it holds the server for long.

use std::{slice, time::Duration};

use stream_core::{Draft, Driver, NewJob, Outcome, Priority, Reserve, Settlement};
use stream_redis::RedisDriver;
use tokio::time::{Instant, sleep};

use crate::backends::own::{NOT_LATER, Own, queue, subscribe};

/// What a backlog is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) due: usize,
    pub(crate) delayed: usize,
    pub(crate) lost: usize,
}

/// Jobs that are made at once.
const MADE: usize = 5_000;
/// All delayed jobs become due at about the same time.
const DELAY: Duration = Duration::from_secs(5);
/// Microseconds that the server may take for a step on average, a neighbour's load included.
const MEAN_MAX: f64 = 5_000.0;

/// Makes the backlog on a server of its own and drains it.
pub(crate) async fn drains(test: &str, size: Size) {
    let Some(own) = Own::private(test).await else { return };
    // The disk is not what is measured.
    own.ask(&["CONFIG", "SET", "appendfsync", "no"]).await;
    own.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "1000"]).await;
    let driver = own.driver().await;
    push(&driver, size.lost, Duration::ZERO).await;
    lose(&driver, size.lost).await;
    push(&driver, size.due, Duration::ZERO).await;
    let delayed_at = Instant::now();
    push(&driver, size.delayed, DELAY).await;
    let depth = driver.depth(&queue()).await.unwrap();
    assert!(depth.ready >= (size.due + size.lost) as u64, "{depth:?}");

    let lost = drain(&driver, size.due + size.lost, delayed_at + DELAY).await;
    assert_eq!(lost, size.lost, "jobs that were lost before");
    sleep(DELAY.saturating_sub(delayed_at.elapsed())).await;
    drain(&driver, size.delayed, Instant::now() + NOT_LATER).await;

    let depth = driver.depth(&queue()).await.unwrap();
    assert_eq!((depth.ready, depth.delayed, depth.reserved), (0, 0, 0));
    assert_short(&own).await;
}

fn job(delay: Duration, place: usize) -> NewJob {
    let priority = if place.is_multiple_of(10) { Priority::Low } else { Priority::Default };
    Draft::raw("x", vec![7; 100]).with_priority(priority).delay(delay).into_job().unwrap()
}

async fn push(driver: &RedisDriver, jobs: usize, delay: Duration) {
    for from in (0..jobs).step_by(MADE) {
        let jobs: Vec<_> = (from..jobs.min(from + MADE)).map(|place| job(delay, place)).collect();
        assert!(driver.push(&queue(), &jobs).await.iter().all(Result::is_ok));
    }
}

/// Takes jobs on leases that end at once.
async fn lose(driver: &RedisDriver, jobs: usize) {
    let subscription = subscribe(driver).await;
    let request = Reserve::new(1_000).lease(Duration::from_secs(1));
    let mut taken = 0;
    while taken < jobs {
        taken += subscription.reserve(&queue(), request).await.unwrap().len();
    }
    sleep(Duration::from_millis(1_100)).await;
}

/// Takes and ends so many jobs; how many of them were lost before.
async fn drain(driver: &RedisDriver, jobs: usize, until: Instant) -> usize {
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let (mut done, mut lost) = (0, 0);
    while done < jobs {
        let wanted = 1_000.min(jobs - done);
        let taken = subscription.reserve(&queue(), Reserve::new(wanted)).await.unwrap();
        assert!(!taken.is_empty() || Instant::now() < until, "{done} of {jobs} came");
        lost += taken.iter().filter(|delivery| delivery.lost > 0).count();
        let settlements: Vec<_> =
            taken.iter().map(|delivery| Settlement::new(delivery, &Outcome::Done)).collect();
        let answers = driver.settle(&queue(), &settlements).await;
        assert!(answers.iter().all(Result::is_ok));
        done += taken.len();
    }
    lost
}

/// What the server says of the scripts that it ran.
async fn assert_short(own: &Own) {
    let stats = own.ask(&["INFO", "commandstats"]).await.as_string().unwrap();
    let evalsha = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
    let mean = evalsha.split("usec_per_call=").nth(1).unwrap().split(',').next().unwrap();
    let slowest = own.ask(&["SLOWLOG", "GET", "-1"]).await.into_array();
    let slowest = slowest.into_iter().filter_map(|entry| entry.into_array().get(2)?.as_u64()).max();
    eprintln!("{evalsha}; the slowest took {slowest:?} us");
    assert!(mean.parse::<f64>().unwrap() < MEAN_MAX, "{evalsha}");
}
