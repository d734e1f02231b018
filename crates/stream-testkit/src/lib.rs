//! The conformance suite, crash harness and faulty proxy for drivers of `stream`.
//!
//! A driver's tests say how to reach the store, by implementing [`Backend`], and expand
//! [`conformance!`] in a module named `conformance`: one `#[test]` per case, named as a fact.
//!
//! ```no_run
//! # use stream_testkit::{Backend, Skip, async_trait};
//! # use stream_core::{Driver, QueueName, Result};
//! # use std::sync::Arc;
//! # #[derive(Debug)] struct MyStore;
//! # #[async_trait] impl Backend for MyStore {
//! #     async fn connect(&self) -> Result<Arc<dyn Driver>> { unimplemented!() }
//! #     async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> { unimplemented!() }
//! # }
//! async fn my_store() -> Result<MyStore, Skip> {
//!     let url = stream_testkit::service_url("STREAM_TEST_MYSTORE_URL")?;
//!     // ... connect to it
//! #   drop(url); Ok(MyStore)
//! }
//!
//! mod conformance {
//!     stream_testkit::conformance!(super::my_store);
//! }
//! ```
//!
//! The suite knows capabilities, never driver names: a case for an ability that the connection does
//! not promise proves that it is refused.

mod backend;
mod by_hand;
pub mod cases;
#[cfg(unix)]
pub mod crash;
pub mod faulty;
pub mod ledger;
pub mod limited;
pub mod proxy;
mod random;
pub mod recording;
mod report;
pub mod services;
pub mod stage;

pub use stream_core::async_trait;

pub use backend::{Backend, service_url};
pub use report::{Skip, run_case, soak_is_run};
pub use stage::Stage;
