//! The driver of stream for SQL databases.
//!
//! One feature for each database: `postgres`, `mysql`, which is MariaDB too, and `sqlite`. `tls` adds encrypted
//! connections to servers.
//!
//! It keeps the whole contract but routing keys and groups: any delay, strict priorities, exact
//! leases, fences and counts, unique keys, dead letters, and rate limits shared by all processes.

// Without a database the shared part has no caller: each dialect adds its feature here.
#![cfg_attr(
    not(any(feature = "postgres", feature = "mysql", feature = "sqlite")),
    allow(dead_code, unused_variables)
)]

mod completions;
mod config;
mod connection;
mod dead_letters;
mod dialect;
mod driver;
mod error;
mod fault;
mod listener;
mod locked;
mod migration;
#[cfg(feature = "mysql")]
mod mysql;
mod names;
mod open;
mod place;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod push;
mod receipt;
mod row;
mod settle;
#[cfg(feature = "sqlite")]
mod sqlite;
mod subscription;
mod take_log;
mod transaction;
mod wakes;
mod within;

pub use config::{DatabaseConfig, Notifications};
pub use driver::DatabaseDriver;
pub use open::DatabasePool;
pub use transaction::DatabaseTransaction;
pub use within::PushWithin;
