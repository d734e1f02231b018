//! The consumer, on the memory driver: its promises, most of them on a paused clock.

mod ahead;
mod blocking;
pub(crate) mod cut_off;
mod distant;
mod heartbeat;
pub(crate) mod outages;
mod outcomes;
mod panics;
mod pushes;
mod queues;
mod refusals;
pub(crate) mod scale;
mod spans;
mod stopping;
mod stubborn;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use stream_core::{
    Backoff, Consumer, ConsumerBuilder, Context, Event, Handlers, Job, JobError, JobResult, Outcome,
    QueueManager,
};
use stream_memory::MemoryDriver;
use tokio::time::Instant;

/// A job that says what its handler is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Act(String);

impl Job for Act {
    const NAME: &'static str = "act";
    const BACKOFF: Backoff = Backoff::fixed(Duration::from_secs(10)).jitter(0.0);
    const MAX_ATTEMPTS: u32 = 3;
}

fn act(what: &str) -> Act {
    Act(what.to_owned())
}

/// A queue, what happened on it, and when.
#[derive(Debug, Clone)]
struct World {
    driver: MemoryDriver,
    queue: QueueManager,
    log: Arc<Mutex<Vec<String>>>,
    begun: Instant,
}

impl World {
    fn new() -> Self {
        let driver = MemoryDriver::new();
        let queue = QueueManager::new(driver.clone());
        Self { driver, queue, log: Arc::default(), begun: Instant::now() }
    }

    fn note(&self, line: impl Into<String>) {
        self.log.lock().unwrap().push(line.into());
    }

    fn noted(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn count(&self, line: &str) -> usize {
        self.noted().iter().filter(|noted| *noted == line).count()
    }

    /// Whole seconds since the beginning.
    fn now(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    /// Notes `run WHAT`, then does what the job says.
    fn handlers(&self) -> Handlers {
        let world = self.clone();
        Handlers::new().register::<Act>(move |job: Act, cx: Context| {
            let world = world.clone();
            async move {
                world.note(format!("run {} {}", job.0, cx.attempt()));
                perform(&job.0, &cx).await
            }
        })
    }

    fn consumer(&self) -> ConsumerBuilder {
        let world = self.clone();
        Consumer::builder(&self.queue, self.handlers()).on_event(move |event| match event {
            Event::Settled { outcome, .. } => world.note(settled(outcome)),
            Event::NotRun { outcome, .. } => world.note(format!("unrun {}", settled(outcome))),
            Event::LeaseLost { .. } => world.note("lease lost"),
            Event::OutcomeUnconfirmed { .. } => world.note("unconfirmed"),
            _ => {}
        })
    }

    async fn dead(&self) -> Vec<String> {
        let letters = self.queue.dead_letters("default").list(None, 100).await.unwrap();
        letters.into_iter().map(|letter| letter.error).collect()
    }
}

fn settled(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".into(),
        Outcome::Retry { after, .. } => format!("retry {}", after.as_secs()),
        Outcome::Bury { .. } => "buried".into(),
        Outcome::Release { after } => format!("released {}", after.as_secs()),
    }
}

async fn perform(what: &str, cx: &Context) -> JobResult {
    match what {
        "fail" => Err("no luck".into()),
        "fail once" if cx.attempt() == 1 => Err("no luck".into()),
        "bury" => Err(JobError::bury("hopeless")),
        "release once" if cx.last_error().is_none() && cx.attempt() == 1 => {
            Err(JobError::release_after(Duration::from_secs(7)))
        }
        "retry in an hour" if cx.attempt() == 1 => {
            Err(JobError::retry_after(Duration::from_secs(3600), "later"))
        }
        "panic" => panic!("at the disco"),
        "for ever" => std::future::pending().await,
        "until cancelled" => {
            cx.cancelled().await;
            Ok(())
        }
        "a second" => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(())
        }
        "two seconds" => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(())
        }
        _ => Ok(()),
    }
}
