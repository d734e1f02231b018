//! One job queue for every store: the contract, the retry logic and the consumer.
//!
//! Add a driver, such as `stream-memory`. Define a job as a serde struct, push it with a
//! [`QueueManager`], work it with a `Consumer` (feature `worker`, on by default).
//!
//! ```
//! # use serde::{Deserialize, Serialize};
//! # use std::time::Duration;
//! # use stream_core::{Backoff, Job, Priority, QueueManager, Result};
//! #[derive(Serialize, Deserialize)]
//! struct SendWelcomeEmail { user_id: u64 }
//!
//! impl Job for SendWelcomeEmail {
//!     const NAME: &'static str = "send_welcome_email";
//! }
//!
//! # async fn example(queue: QueueManager) -> Result<()> {
//! queue.push(SendWelcomeEmail { user_id: 7 })
//!     .on_queue("emails")
//!     .delay(Duration::from_secs(60))
//!     .with_priority(Priority::High)
//!     .backoff(Backoff::exponential(Duration::from_secs(5), 2.0))
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Driver`] is the contract of drivers; `stream-testkit` has a case for each sentence.

mod backoff;
mod capabilities;
#[cfg(feature = "worker")]
mod consumer;
mod dead_letters;
mod delivery;
mod driver;
mod envelope;
mod error;
#[cfg(feature = "worker")]
mod handler;
mod job;
mod job_error;
mod job_id;
#[cfg(feature = "worker")]
mod lanes;
mod limits;
mod manager;
mod priority;
mod push;
mod queue_name;
mod random;
mod reserved;
mod retry;
mod wire;

pub use async_trait::async_trait;

pub use backoff::Backoff;
pub use capabilities::*;
#[cfg(feature = "worker")]
pub use consumer::{Consumer, ConsumerBuilder, Drained, Event, Stopped};
pub use dead_letters::{DeadLetter, DeadLetterId, DeadLetters};
pub use delivery::{Delivery, Outcome, Receipt, Settlement, Undecodable};
pub use driver::*;
pub use envelope::{Codec, Envelope, NewJob};
pub use error::{BoxError, Error, ErrorKind, PushManyError, Result};
#[cfg(feature = "worker")]
pub use handler::{Context, Handler, Handlers, JobResult, Next, SelfHandling};
pub use job::Job;
pub use job_error::{JobError, Verdict};
pub use job_id::JobId;
pub use limits::*;
pub use manager::QueueManager;
pub use priority::Priority;
pub use push::{Draft, IntoDraft, Push};
pub use queue_name::QueueName;
pub use reserved::ReservedJob;
pub use retry::{decide, too_often_lost};
