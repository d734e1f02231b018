//! Processes that share a file.

use std::{
    collections::HashSet,
    env,
    io::Write as _,
    process::{Command, Stdio},
    slice,
    time::{Duration, Instant},
};

use stream_core::{Draft, Driver, NewJob, Outcome, QueueName, RateLimit, Reserve, Settlement};
use stream_database::DatabaseDriver;

use crate::backends::sqlite::File;

/// The file of a child process; no other test sets it.
const FILE: &str = "STREAM_TEST_SQLITE_TAKER";
const JOBS: usize = 2_000;
const LIMIT: RateLimit = RateLimit::new(50, Duration::from_millis(500));

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

/// A process that takes and finishes jobs of the queue `default`, then those of `limited`; it prints each.
#[tokio::test]
async fn entry_of_taking_processes() {
    let Ok(url) = env::var(FILE) else { return };
    let driver = DatabaseDriver::connect(&url).await.unwrap();
    take_all(&driver, &queue("default"), Reserve::new(7)).await;
    take_all(&driver, &queue("limited"), Reserve::new(7).rate_limit(LIMIT)).await;
    driver.close().await.unwrap();
}

async fn take_all(driver: &DatabaseDriver, queue: &QueueName, request: Reserve) {
    let subscription = driver.subscribe(slice::from_ref(queue)).await.unwrap();
    let depth = || async { driver.depth(queue).await.unwrap() };
    while depth().await.ready > 0 {
        subscription.ready(Duration::from_millis(100)).await.unwrap();
        let taken = subscription.reserve(queue, request).await.unwrap();
        let mut out = std::io::stdout().lock();
        for delivery in &taken {
            writeln!(out, "took {queue} {}", delivery.id().unwrap()).unwrap();
        }
        drop(out);
        let done: Vec<_> = taken.iter().map(|delivery| Settlement::new(delivery, &Outcome::Done)).collect();
        driver.settle(queue, &done).await.into_iter().for_each(Result::unwrap);
    }
}

async fn fill(driver: &DatabaseDriver, queue: &QueueName, count: usize) {
    let jobs: Vec<NewJob> = (0..count).map(|n| Draft::named("x", &n).into_job().unwrap()).collect();
    driver.push(queue, &jobs).await.into_iter().for_each(|pushed| assert!(pushed.is_ok()));
}

#[tokio::test]
async fn two_processes_never_get_one_job_and_share_a_limit() {
    let file = File::new();
    let driver = file.migrated().await;
    fill(&driver, &queue("default"), JOBS).await;
    let limited = 100;
    fill(&driver, &queue("limited"), limited).await;
    let begun = Instant::now();
    let takers: Vec<_> = (0..2)
        .map(|_| {
            let mut taker = Command::new(env::current_exe().unwrap());
            taker.args(["--exact", "own::sqlite::processes::entry_of_taking_processes", "--nocapture"]);
            taker.env(FILE, file.url()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut taken = Vec::new();
    for taker in takers {
        let output = taker.wait_with_output().unwrap();
        assert!(output.status.success());
        let output = String::from_utf8(output.stdout).unwrap();
        let ids: Vec<String> =
            output.lines().filter_map(|line| line.split_once("took ")).map(|(_, id)| id.into()).collect();
        assert!(ids.len() > 10, "both processes took some: {}", ids.len());
        taken.extend(ids);
    }

    assert_eq!(taken.len(), JOBS + limited);
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), JOBS + limited, "each was taken once");
    // Twice the limit takes one window at least, however many share it.
    assert!(begun.elapsed() >= LIMIT.window, "{:?}", begun.elapsed());
}
