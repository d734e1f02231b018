//! The loop that works jobs: fetch, execute, settle; a lease keeper beside it; an orderly stop.
//!
//! A free slot comes first. The fetcher takes as many jobs as there are free slots, each runs in a task
//! of its own, its outcome goes to the settler of its queue, and the slot is free again when the store
//! has answered. Nothing is reported done before that.

mod builder;
mod caught;
mod event;
mod execute;
mod fetch;
mod lease;
mod pick;
mod settle;
mod shared;
mod stop;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Error, ErrorKind, Handlers, QueueManager, Result};

pub use builder::ConsumerBuilder;
pub use event::Event;

/// A running consumer; dropping it begins a graceful stop that nobody waits for.
///
/// ```
/// # use stream_core::{Consumer, Handlers, QueueManager, RateLimit, Result};
/// # async fn example(queue: QueueManager, handlers: Handlers) -> Result<()> {
/// let consumer = Consumer::builder(&queue, handlers)
///     .queues(["default", "emails"])
///     .workers(4)
///     .rate_limit("emails", RateLimit::per_minute(10))
///     .start()
///     .await?;
/// // ... until the program ends:
/// let stopped = consumer.shutdown().await?;
/// println!("{} jobs were given back", stopped.released);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a consumer stops it"]
#[derive(Debug)]
pub struct Consumer {
    stop: CancellationToken,
    /// Taken by `shutdown`.
    supervisor: Option<JoinHandle<Stopped>>,
}

impl Consumer {
    /// The options of a consumer of the manager's default connection.
    pub fn builder(queue: &QueueManager, handlers: Handlers) -> ConsumerBuilder {
        ConsumerBuilder::new(queue.clone(), handlers)
    }

    /// Takes no more jobs, lets the running ones end within the grace period, gives the rest back.
    ///
    /// Running handlers learn of it at once through `Context::cancelled`. Ends within the grace period
    /// and a second, whatever handlers do.
    ///
    /// # Errors
    /// `Unexpected` if the consumer itself panicked.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the stop; it goes on by itself.
    pub async fn shutdown(mut self) -> Result<Stopped> {
        self.stop.cancel();
        let supervisor = self.supervisor.take().expect("only `shutdown` takes it, and consumes the consumer");
        supervisor
            .await
            .map_err(|error| Error::new(ErrorKind::Unexpected, "core", "shutdown").caused_by(error))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What a `drain` did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Jobs done.
    pub done: u64,
    /// Attempts that failed and will be repeated.
    pub retried: u64,
    /// Jobs given up on.
    pub buried: u64,
    /// Jobs given back.
    pub released: u64,
}

/// What a stop left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Jobs still running at the end of the grace period that were aborted and given back.
    pub released: u64,
    /// Jobs that could be neither ended nor given back; their leases end them.
    pub abandoned: u64,
}
