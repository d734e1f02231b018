//! From what the file system says to what a caller can do.

use std::io;

use stream_core::{Error, ErrorKind, QueueName};

pub(crate) const DRIVER: &str = "file";

/// Nothing was changed.
pub(crate) fn unavailable(operation: &'static str, source: io::Error) -> Error {
    // An error of the file system names no path and no content.
    Error::new(ErrorKind::Unavailable, DRIVER, operation).caused_by(source)
}

/// It was changed, but the disk has not confirmed it.
pub(crate) fn unknown(operation: &'static str, source: io::Error) -> Error {
    Error::new(ErrorKind::OutcomeUnknown, DRIVER, operation).caused_by(source)
}

/// The thread that did it is gone.
pub(crate) fn unfinished(operation: &'static str, source: tokio::task::JoinError) -> Error {
    // One that was cancelled never began: a blocking task runs to its end once it did.
    let kind = if source.is_cancelled() { ErrorKind::Unavailable } else { ErrorKind::OutcomeUnknown };
    Error::new(kind, DRIVER, operation).caused_by(source)
}

pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, DRIVER, operation).explained("this connection was closed")
}

pub(crate) fn lease_lost(operation: &'static str) -> Error {
    Error::new(ErrorKind::LeaseLost, DRIVER, operation)
}

pub(crate) fn no_queues() -> Error {
    Error::new(ErrorKind::Config, DRIVER, "subscribe").explained("name at least one queue")
}

pub(crate) fn not_subscribed(queue: &QueueName) -> Error {
    Error::new(ErrorKind::Config, DRIVER, "reserve")
        .explained(format!("this subscription has no place at `{queue}`"))
}
