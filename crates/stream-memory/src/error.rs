//! The errors of this driver.

use stream_core::{Error, ErrorKind, QueueName};

pub(crate) const DRIVER: &str = "memory";

pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, DRIVER, operation).explained("this connection was closed")
}

pub(crate) fn full(capacity: usize) -> Error {
    Error::new(ErrorKind::Unavailable, DRIVER, "push")
        .explained(format!("full: the store holds its capacity of {capacity} jobs"))
}

pub(crate) fn too_large(bytes: usize, max: usize) -> Error {
    Error::new(ErrorKind::InvalidJob, DRIVER, "push")
        .explained(format!("the encoded job has {bytes} bytes, this connection takes {max}"))
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

pub(crate) fn foreign_cursor() -> Error {
    Error::new(ErrorKind::Config, DRIVER, "list dead letters")
        .explained("the cursor is no dead letter id of this driver")
}
