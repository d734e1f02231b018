//! Rounds that push; what was pushed is taken back after the time has been read.

use anyhow::{Context as _, Result, ensure};
use stream_core::{JobId, NewJob, Pushed, QueueName};
use tokio::task::JoinSet;

use super::{Session, collect};
use crate::{
    exact::same,
    job::{Kind, Numbered, new_jobs},
    target::{RawLoop, Shape},
    usage::{Round, Stopwatch},
};

/// Through the manager, one after the other in each of some tasks.
pub(super) async fn one_by_one(
    session: &Session,
    queue: &QueueName,
    jobs: usize,
    tasks: usize,
) -> Result<Round> {
    let numbers: Vec<_> = (0..jobs as u64).collect();
    let parts = numbers.chunks(jobs.div_ceil(tasks)).map(|part| part.iter().copied().map(Numbered::new));
    let parts: Vec<Vec<_>> = parts.map(Iterator::collect).collect();
    let mut running = JoinSet::new();
    let watch = Stopwatch::start()?;
    for part in parts {
        let (manager, queue) = (session.connection.manager.clone(), queue.clone());
        running.spawn(async move {
            let mut ids = Vec::with_capacity(part.len());
            for job in part {
                ids.push(manager.push(job).on_queue(&queue).await?.id());
            }
            anyhow::Ok(ids)
        });
    }
    let ids = running.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    let round = watch.stop(jobs)?;
    check(session, queue, ids.concat()).await?;
    Ok(round)
}

/// Through the manager, in batches.
pub(super) async fn many(session: &Session, queue: &QueueName, jobs: usize, batch: usize) -> Result<Round> {
    let numbers: Vec<_> = (0..jobs as u64).collect();
    let batches = numbers.chunks(batch).map(|part| part.iter().copied().map(Numbered::new).collect());
    let batches: Vec<Vec<_>> = batches.collect();
    let mut ids = Vec::with_capacity(jobs);
    let watch = Stopwatch::start()?;
    for batch in batches {
        let drafts = batch.into_iter().map(|job| job.draft_for(queue, Kind::NoOp));
        let pushed = session.connection.manager.push_many(drafts).await?;
        ids.extend(pushed.into_iter().map(Pushed::id));
    }
    let round = watch.stop(jobs)?;
    check(session, queue, ids).await?;
    Ok(round)
}

/// The driver alone.
pub(super) async fn bare(session: &Session, queue: &QueueName, jobs: usize, batch: usize) -> Result<Round> {
    let new = new_jobs(queue, jobs, Kind::NoOp)?;
    let mut answers = Vec::with_capacity(jobs);
    let watch = Stopwatch::start()?;
    for batch in new.chunks(batch) {
        answers.extend(session.connection.driver.push(queue, batch).await);
    }
    let round = watch.stop(jobs)?;
    let ids = answers.into_iter().map(|answer| answer.map(Pushed::id));
    check(session, queue, ids.collect::<stream_core::Result<_>>()?).await?;
    Ok(round)
}

/// The raw loop; its jobs are taken back as well.
pub(super) async fn raw(raw: &dyn RawLoop, jobs: usize, shape: Shape) -> Result<Round> {
    let watch = Stopwatch::start()?;
    raw.push(0..jobs as u64, shape).await?;
    let round = watch.stop(jobs)?;
    same((0..jobs as u64).collect(), raw.work(Shape { tasks: 1, batch: 1_000 }, Kind::NoOp).await?)?;
    Ok(round)
}

/// Fills a queue, not measured; gives the ids.
pub(crate) async fn fill(session: &Session, queue: &QueueName, new: &[NewJob]) -> Result<Vec<JobId>> {
    const BATCH: usize = 1_000;
    let mut ids = Vec::with_capacity(new.len());
    for batch in new.chunks(BATCH) {
        let answers = session.connection.driver.push(queue, batch).await;
        ensure!(answers.len() == batch.len(), "{} answers to {} jobs", answers.len(), batch.len());
        for answer in answers {
            ids.push(answer.context("a job was not stored")?.id());
        }
    }
    Ok(ids)
}

async fn check(session: &Session, queue: &QueueName, pushed: Vec<JobId>) -> Result<()> {
    let worked = collect(session, queue, pushed.len()).await?;
    same(pushed, worked)
}
