//! Rounds that work a full queue, through the consumer and by the raw loop.

use std::sync::Arc;

use anyhow::{Result, ensure};
use stream_core::{Consumer, QueueName};

use super::{Session, push::fill};
use crate::{
    exact::{Ledger, same},
    job::{Kind, handlers, new_jobs},
    target::{RawLoop, Shape},
    usage::{Round, Stopwatch},
};

/// From the start of a consumer until the store has answered for each job.
pub(super) async fn round(
    session: &Session,
    queue: &QueueName,
    jobs: usize,
    workers: usize,
    kind: Kind,
) -> Result<Round> {
    fill(session, queue, &new_jobs(queue, jobs, kind)?).await?;
    let ledger = Arc::new(Ledger::new(jobs));
    let handlers = handlers(kind, ledger.clone());
    let consumer =
        Consumer::builder(&session.connection.manager, handlers).queues([queue.as_str()]).workers(workers);
    let watch = Stopwatch::start()?;
    let drained = match kind {
        Kind::FailsOnce => consumer.drain_all().await?,
        Kind::NoOp | Kind::OneMs => consumer.drain().await?,
    };
    let round = watch.stop(jobs)?;
    ledger.check()?;
    let retried = if kind == Kind::FailsOnce { jobs } else { 0 };
    let ends = (drained.done, drained.retried, drained.buried, drained.released);
    ensure!(ends == (jobs as u64, retried as u64, 0, 0), "not exact: {jobs} jobs ended as {drained:?}");
    Ok(round)
}

/// The raw loop on a full queue of its own.
pub(super) async fn raw(raw: &dyn RawLoop, jobs: usize, shape: Shape, kind: Kind) -> Result<Round> {
    raw.push(0..jobs as u64, Shape { tasks: 1, batch: 1_000 }).await?;
    let watch = Stopwatch::start()?;
    let numbers = raw.work(shape, kind).await?;
    let round = watch.stop(jobs)?;
    same((0..jobs as u64).collect(), numbers)?;
    let left = raw.left().await?;
    ensure!(left == 0, "not exact: {left} jobs are left");
    Ok(round)
}
