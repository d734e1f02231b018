//! The loop that works jobs: fetch, execute, settle.

mod ahead;
mod builder;
mod caught;
mod execute;
mod fetch;
mod lease;
mod pick;
mod queue;
mod settle;
mod shared;

use std::{sync::Arc, time::Duration};

use tokio::{
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::DropGuard;

use crate::*;

use ahead::*;
pub use builder::ConsumerBuilder;
use caught::*;
use execute::*;
use fetch::*;
use lease::*;
use pick::*;
use queue::*;
use settle::*;
use shared::*;

/// A running consumer; a drop begins its graceful stop.
///
/// ```
/// # use stream_core::*;
/// # async fn example(queue: QueueManager, handlers: Handlers) -> Result<()> {
/// let consumer = Consumer::builder(&queue, handlers)
///     .queues(["default", "emails"])
///     .workers(4)
///     .rate_limit("emails", RateLimit::per_minute(10))
///     .start()
///     .await?;
/// consumer.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a consumer stops it"]
#[derive(Debug)]
pub struct Consumer {
    stop: DropGuard,
    supervisor: JoinHandle<Stopped>,
}

impl Consumer {
    /// The options of a consumer of the default connection.
    pub fn builder(queue: &QueueManager, handlers: Handlers) -> ConsumerBuilder {
        ConsumerBuilder::new(queue.clone(), handlers)
    }

    /// Takes no more jobs, lets those that run end within the grace period, gives the rest back.
    ///
    /// `Context::cancelled` tells handlers at once. It ends within the grace period and a second.
    ///
    /// # Errors
    /// `Unexpected` if the consumer itself panicked.
    ///
    /// # Cancel safety
    /// A dropped stop goes on.
    pub async fn shutdown(self) -> Result<Stopped> {
        drop(self.stop);
        stopped(self.supervisor).await
    }
}

async fn stopped(supervisor: JoinHandle<Stopped>) -> Result<Stopped> {
    supervisor.await.map_err(|error| Error::new(ErrorKind::Unexpected, "core", "consume").caused_by(error))
}

/// What a `drain` did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Jobs done.
    pub done: u64,
    /// Attempts that failed and are repeated.
    pub retried: u64,
    /// Jobs given up on.
    pub buried: u64,
    /// Jobs given back.
    pub released: u64,
}

impl Drained {
    fn add(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Done => &mut self.done,
            Outcome::Retry { .. } => &mut self.retried,
            Outcome::Bury { .. } => &mut self.buried,
            Outcome::Release { .. } => &mut self.released,
        } += 1;
    }
}

/// What a stop left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Jobs aborted at the end of the grace period and given back.
    pub released: u64,
    /// Jobs neither ended nor given back; their leases end them.
    pub abandoned: u64,
}

/// Something that happened in a consumer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A handler is about to run.
    Started {
        /// The job.
        cx: &'a Context,
    },
    /// The store has answered: the outcome counts.
    Settled {
        /// The job.
        cx: &'a Context,
        /// What became of it.
        outcome: &'a Outcome,
        /// From its start to the store's answer.
        ran: Duration,
    },
    /// A delivery was settled unrun.
    NotRun {
        /// Where.
        queue: &'a QueueName,
        /// Which.
        delivery: &'a Delivery,
        /// What became of it.
        outcome: &'a Outcome,
    },
    /// The delivery is over: the outcome counts for nothing.
    LeaseLost {
        /// The job.
        cx: &'a Context,
    },
    /// The answer was lost: the outcome may have counted.
    OutcomeUnconfirmed {
        /// The job.
        cx: &'a Context,
    },
    /// The store did not answer; it is asked again.
    Unavailable {
        /// Where.
        queue: &'a QueueName,
        /// Why.
        error: &'a Error,
    },
}

/// Less than a second in all.
const GIVE_BACK: Duration = Duration::from_millis(600);
const CLOSE: Duration = Duration::from_millis(300);

fn spawn(shared: Arc<Shared>, until: Until, subscription: Subscribed) -> Consumer {
    let stop = shared.stop.clone().drop_guard();
    Consumer { stop, supervisor: tokio::spawn(supervise(shared, until, subscription)) }
}

async fn supervise(shared: Arc<Shared>, until: Until, subscription: Subscribed) -> Stopped {
    let mut tasks = JoinSet::new();
    for queue in &shared.queues {
        tasks.spawn(settle(shared.clone(), queue.clone()));
        tasks.spawn(keep(shared.clone(), queue.clone()));
    }
    for _ in 0..shared.starters {
        tasks.spawn(start_jobs(shared.clone()));
    }
    let subscription = Fetcher::new(shared.clone(), until).run(subscription).await;
    // A drain ends here as well.
    shared.stop.cancel();
    if !all_is_settled(&shared, shared.settings.grace).await {
        shared.abort.cancel();
        all_is_settled(&shared, GIVE_BACK).await;
    }
    let abandoned = shared.shares.taken();
    drop(tasks);
    if let Some(subscription) = subscription {
        let closed = timeout(CLOSE, subscription.close()).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::warn!(?closed, "the subscription was not closed");
        }
    }
    if abandoned > 0 {
        tracing::warn!(abandoned, "jobs were not given back; their leases end them");
    }
    Stopped { released: shared.tally().1, abandoned: abandoned as u64 }
}

async fn all_is_settled(shared: &Shared, limit: Duration) -> bool {
    let all = shared.shares.free.acquire_many(shared.shares.all() as u32);
    timeout(limit, all).await.is_ok()
}
