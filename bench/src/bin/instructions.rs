//! A fixed piece of work on memory, to be counted under valgrind: `instructions STAGE JOBS`.
//!
//! One thread, no timers, no seed: two runs take the same way but for hash keys.

use std::{env, process::ExitCode, slice};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use stream_core::{
    Consumer, Context, Driver, Handlers, Job, Outcome, QueueManager, QueueName, Reserve, Settlement,
};
use stream_memory::MemoryDriver;

const BATCH: usize = 100;
const WORKERS: usize = 100;

#[derive(Serialize, Deserialize)]
struct Greet {
    number: u64,
    name: String,
}

impl Job for Greet {
    const NAME: &'static str = "greet";
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let (stage, jobs) = (arguments.next(), arguments.next());
    let jobs: u64 = jobs.context("which stage, and how many jobs?")?.parse()?;
    let driver = MemoryDriver::new();
    let manager = QueueManager::new(driver.clone());
    push_many(&manager, jobs).await?;
    match stage.as_deref() {
        Some("push_many") => {}
        Some("reserve_settle") => reserve_settle(&driver, jobs).await?,
        Some("consumer") => consumer(&manager, jobs).await?,
        other => bail!("no stage {other:?}"),
    }
    // Dropping what is left would be counted as well.
    std::mem::forget((driver, manager));
    Ok(())
}

async fn push_many(manager: &QueueManager, jobs: u64) -> Result<()> {
    let numbers: Vec<_> = (0..jobs).collect();
    for batch in numbers.chunks(BATCH) {
        let jobs = batch.iter().map(|&number| Greet { number, name: "Ada".to_owned() });
        manager.push_many(jobs).await?;
    }
    Ok(())
}

async fn reserve_settle(driver: &MemoryDriver, jobs: u64) -> Result<()> {
    let queue = QueueName::new("default")?;
    let subscription = driver.subscribe(slice::from_ref(&queue)).await?;
    let mut done = 0;
    loop {
        let deliveries = subscription.reserve(&queue, Reserve::new(BATCH)).await?;
        if deliveries.is_empty() {
            break;
        }
        let settlements: Vec<_> = deliveries.iter().map(|one| Settlement::new(one, &Outcome::Done)).collect();
        for answer in driver.settle(&queue, &settlements).await {
            answer?;
            done += 1;
        }
    }
    ensure!(done == jobs, "{done} of {jobs} jobs were done");
    Ok(())
}

async fn consumer(manager: &QueueManager, jobs: u64) -> Result<()> {
    let handlers = Handlers::new().register::<Greet>(async |_: Greet, _: Context| Ok(()));
    let drained = Consumer::builder(manager, handlers).workers(WORKERS).drain().await?;
    ensure!(drained.done == jobs, "{} of {jobs} jobs were done", drained.done);
    Ok(())
}
