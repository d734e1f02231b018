//! The driver of stream for Redis and Valkey, single server and cluster.
//!
//! It keeps the whole contract but routing keys and groups: any delay, strict priorities, exact
//! leases, fences and counts, unique keys, dead letters, and rate limits shared by all processes.
//!
//! The feature `tls` adds encrypted connections.

mod bell;
mod call;
mod config;
mod dead_letters;
mod driver;
mod error;
mod judge;
mod keys;
mod link;
mod locked;
mod place;
mod push;
mod receipt;
mod record;
mod reply;
mod reserve;
mod script;
mod settle;
mod subscription;
mod wakes;

pub use config::{Confirmation, Eviction, RedisConfig};
pub use driver::RedisDriver;
