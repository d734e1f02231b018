//! One job queue for every store.
//!
//! Add a driver, such as `stream-memory`. Push a [`Job`] with a [`QueueManager`], work it with a
//! `Consumer` (feature `worker`, on by default).
//!
//! ```
//! # use serde::{Deserialize, Serialize};
//! # use std::time::Duration;
//! # use stream_core::*;
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

mod backoff;
#[cfg(feature = "worker")]
mod consumer;
mod driver;
mod error;
#[cfg(feature = "worker")]
mod handler;
mod job;
mod job_id;
#[cfg(feature = "worker")]
mod lanes;
mod limits;
mod manager;
mod priority;
mod queue_name;
mod retry;
mod wire;

pub use async_trait::async_trait;

pub use backoff::*;
#[cfg(feature = "worker")]
pub use consumer::*;
pub use driver::*;
pub use error::*;
#[cfg(feature = "worker")]
pub use handler::*;
pub use job::*;
pub use job_id::*;
pub use limits::*;
pub use manager::*;
pub use priority::*;
pub use queue_name::*;
pub use retry::*;
