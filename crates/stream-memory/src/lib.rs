//! The in-memory driver of stream, the reference for all others.
//!
//! It keeps every promise of the contract but routing, in the memory of one process: jobs are lost
//! with it. Use it in tests, in examples and where work may be lost with the process.
//!
//! Time is tokio's: under `tokio::time::pause` an hour's delay, a lease and a rate limit pass at once.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use stream_core::{Job, QueueManager, Result};
//! use stream_memory::MemoryDriver;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greet {
//!     name: String,
//! }
//!
//! impl Job for Greet {
//!     const NAME: &'static str = "greet";
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let queue = QueueManager::new(MemoryDriver::new());
//! queue.push(Greet { name: "Ada".into() }).await?;
//! assert_eq!(queue.size("default").await?, 1);
//! # Ok(())
//! # }
//! ```

mod config;
mod connection;
mod dead_letters;
mod driver;
mod error;
mod receipt;
mod state;
mod subscription;

pub use config::MemoryConfig;
pub use driver::MemoryDriver;
