//! Rounds that take and settle by the bare driver.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use stream_core::{Delivery, Driver, JobId, Outcome, QueueName, Reserve, Settlement, Subscription};

use super::{Session, push::fill};
use crate::{
    exact::same,
    job::{Kind, new_jobs},
    usage::{Round, Stopwatch},
};

/// How long a store may take until it shows a job that is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes and settles a full queue in batches.
pub(super) async fn round(session: &Session, queue: &QueueName, jobs: usize, batch: usize) -> Result<Round> {
    let pushed = fill(session, queue, &new_jobs(queue, jobs, Kind::NoOp)?).await?;
    let driver = &*session.connection.driver;
    let subscription = driver.subscribe(std::slice::from_ref(queue)).await?;
    let mut ids = Vec::with_capacity(jobs);
    let watch = Stopwatch::start()?;
    while ids.len() < jobs {
        ids.extend(take_and_settle(driver, &*subscription, queue, batch).await?);
    }
    let round = watch.stop(jobs)?;
    assert_nothing_left(&*subscription, queue).await?;
    subscription.close().await?;
    same(pushed, ids)?;
    Ok(round)
}

/// Takes everything, not measured; gives the ids.
pub(crate) async fn collect(session: &Session, queue: &QueueName, jobs: usize) -> Result<Vec<JobId>> {
    let driver = &*session.connection.driver;
    let subscription = driver.subscribe(std::slice::from_ref(queue)).await?;
    let mut ids = Vec::with_capacity(jobs);
    while ids.len() < jobs {
        let batch = driver.capabilities().batch.min(1_000);
        ids.extend(take_and_settle(driver, &*subscription, queue, batch).await?);
    }
    assert_nothing_left(&*subscription, queue).await?;
    subscription.close().await?;
    Ok(ids)
}

/// One reserve, waiting for the store if need be, and one settle of what it gave.
pub(crate) async fn take_and_settle(
    driver: &dyn Driver,
    subscription: &dyn Subscription,
    queue: &QueueName,
    batch: usize,
) -> Result<impl Iterator<Item = JobId> + use<>> {
    let mut deliveries = subscription.reserve(queue, Reserve::new(batch)).await?;
    while deliveries.is_empty() {
        let ready = subscription.ready(PATIENCE).await?;
        ensure!(!ready.is_empty(), "not exact: jobs that were pushed are not there");
        deliveries = subscription.reserve(queue, Reserve::new(batch)).await?;
    }
    settle(driver, queue, &deliveries).await?;
    let ids = deliveries.into_iter().map(|delivery| delivery.id());
    // A job without an id was not pushed by this program; the comparison of the ids finds it missing.
    Ok(ids.flatten())
}

async fn settle(driver: &dyn Driver, queue: &QueueName, deliveries: &[Delivery]) -> Result<()> {
    let settlements: Vec<_> =
        deliveries.iter().map(|delivery| Settlement::new(delivery, &Outcome::Done)).collect();
    let answers = driver.settle(queue, &settlements).await;
    ensure!(answers.len() == deliveries.len(), "{} answers to {} outcomes", answers.len(), deliveries.len());
    answers.into_iter().collect::<stream_core::Result<()>>().context("an outcome was not taken")
}

async fn assert_nothing_left(subscription: &dyn Subscription, queue: &QueueName) -> Result<()> {
    let more = subscription.reserve(queue, Reserve::new(1)).await?;
    ensure!(more.is_empty(), "not exact: there is a job more than was pushed");
    Ok(())
}
