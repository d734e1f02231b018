//! A driver that keeps each job in a file: what `docs/writing-a-driver.md` says, done once.
//!
//! A folder holds one folder for each queue, which holds one file for each job. The file's *name* says
//! where the job stands, so that a change is a rename, which happens or does not. Its content is the
//! last error and the envelope. Whoever changes a queue holds the lock of its file `lock`; the system
//! gives it back when a process dies.
//!
//! It is small, not fast: each verb reads the names of the whole queue. All processes must be on one
//! machine, whose clock is the store's.
//!
//! ```
//! # use stream_core::{Draft, QueueManager, Result};
//! use stream_file_driver::{FileConfig, FileDriver};
//!
//! # async fn example() -> Result<()> {
//! let driver = FileDriver::new(FileConfig::new("/var/lib/my-program/jobs"));
//! let queue = QueueManager::new(driver);
//! queue.push(Draft::named("resize", &("cat.png", 640))).await?;
//! # Ok(())
//! # }
//! ```

mod config;
mod content;
mod dead_letters;
mod driver;
mod ended;
mod entry;
mod error;
mod folder;
mod queue;
mod store;
mod subscription;

pub use config::{Durability, FileConfig};
pub use driver::FileDriver;
