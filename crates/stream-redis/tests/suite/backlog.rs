//! A long backlog: due, delayed and lost jobs. It drains, and no step of it holds the server for long.

use std::{slice, time::Duration};

use stream_core::{Delivery, Draft, Driver, NewJob, Outcome, Priority, Reserve, Settlement};
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
/// Microseconds of CPU that the server may take for a step on average, and all else that it does.
const MEAN_MAX: f64 = 3_000.0;

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

    // Those of low priority come last, behind what has become due meanwhile.
    let mut lost = drain(&driver, size.due + size.lost, delayed_at + DELAY).await;
    sleep(DELAY.saturating_sub(delayed_at.elapsed())).await;
    lost += drain(&driver, size.delayed, Instant::now() + NOT_LATER).await;
    assert_eq!(lost, size.lost, "jobs that were lost before");

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

/// Takes jobs on leases that end when all were taken: those that end sooner would be taken again.
async fn lose(driver: &RedisDriver, jobs: usize) {
    let subscription = subscribe(driver).await;
    let mut taken = Vec::new();
    while taken.len() < jobs {
        let request = Reserve::new(1_000).lease(Duration::from_secs(600));
        taken.extend(subscription.reserve(&queue(), request).await.unwrap());
    }
    let taken: Vec<&Delivery> = taken.iter().collect();
    let answers = driver.extend(&queue(), &taken, Duration::from_millis(1)).await;
    assert!(answers.iter().all(Result::is_ok));
    sleep(Duration::from_millis(10)).await;
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

/// What the server says of the scripts that it ran: by its CPU, which a neighbour's load does not change.
async fn assert_short(own: &Own) {
    let info = async |section: &str| own.ask(&["INFO", section]).await.as_string().unwrap();
    let number = |text: &str, before: &str| -> f64 {
        let rest = text.split(before).nth(1).unwrap();
        rest.split([',', '\r']).next().unwrap().parse().unwrap()
    };
    let calls = number(&info("commandstats").await, "cmdstat_evalsha:calls=");
    let cpu = info("cpu").await;
    let seconds = number(&cpu, "used_cpu_user_main_thread:") + number(&cpu, "used_cpu_sys_main_thread:");
    let mean = seconds / calls * 1e6;
    let slowest = own.ask(&["SLOWLOG", "GET", "-1"]).await.into_array();
    let slowest = slowest.into_iter().filter_map(|entry| entry.into_array().get(2)?.as_u64()).max();
    eprintln!(
        "{calls} scripts took {mean:.0} us of CPU each; the slowest {slowest:?} us, with its neighbours"
    );
    assert!(mean < MEAN_MAX, "{mean} us");
}
