//! The driver against the conformance suite, the crash tier and the fault tier on a real broker, and what is its own.
//!
//! The first module of a test is its tier.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed, also in its helpers")]

mod backend;

/// The conformance suite.
mod conformance {
    stream_testkit::conformance!(crate::backend::set_up);
}

mod fault;
mod own;

/// The crash tier.
#[cfg(unix)]
mod crash {
    stream_testkit::crash!(crate::backend::set_up);
}
