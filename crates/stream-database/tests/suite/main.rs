//! The driver against the conformance suite and the crash tier on each database, and what is its own.
//!
//! The first module of a test is its tier, the second is its database: `conformance::postgres::..`. A test
//! that needs no database has none. `cargo xtask test-drivers` runs each database's tests in a row of its own.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed, also in its helpers")]

mod backends;
mod conformance;
#[cfg(unix)]
mod crash;
mod fault;
mod own;
mod soak;
