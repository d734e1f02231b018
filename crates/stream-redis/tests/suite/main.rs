//! The driver against the conformance suite and the crash tier on each server, and what is its own.
//!
//! The first module of a test is its tier, the second is its server: `conformance::single::..`.
//! `cargo xtask test-drivers` runs each server's tests in a row of its own.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed, also in its helpers")]

mod backends;
mod backlog;
mod conformance;
#[cfg(unix)]
mod crash;
mod fault;
mod own;
mod soak;
