//! The errors of this driver: from what is known of a failed call to what a caller can do.

use std::time::Duration;

use stream_core::{Error, ErrorKind, QueueName};

use crate::fault::{Failure, Fault};

/// For errors that come before a database is known.
pub(crate) const DRIVER: &str = "database";

/// What a call does to the store, which decides what its lost answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It changes nothing: a lost answer is no answer.
    Reads,
    /// It may have changed something.
    Writes,
}

/// Which driver, in which operation; what its errors say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) driver: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) effect: Effect,
}

impl At {
    pub(crate) fn error(self, failure: Failure) -> Error {
        let kind = match failure.fault {
            Fault::Away | Fault::Conflict => ErrorKind::Unavailable,
            Fault::InDoubt if self.effect == Effect::Reads => ErrorKind::Unavailable,
            Fault::InDoubt => ErrorKind::OutcomeUnknown,
            Fault::Refused => ErrorKind::InvalidJob,
            Fault::Config => ErrorKind::Config,
            Fault::Unexpected => ErrorKind::Unexpected,
        };
        let mut error = Error::new(kind, self.driver, self.operation);
        if let Some(detail) = failure.detail {
            error = error.explained(detail);
        }
        match failure.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }

    pub(crate) fn closed(self) -> Error {
        Error::new(ErrorKind::Unavailable, self.driver, self.operation)
            .explained("this connection was closed")
    }

    pub(crate) fn lease_lost(self) -> Error {
        Error::new(ErrorKind::LeaseLost, self.driver, self.operation)
    }

    pub(crate) fn locked(self) -> Error {
        Error::new(ErrorKind::Unavailable, self.driver, self.operation)
            .explained("another transaction holds the job's row")
    }

    pub(crate) fn config(self, detail: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, self.driver, self.operation).explained(detail)
    }

    pub(crate) fn not_subscribed(self, queue: &QueueName) -> Error {
        self.config(format!("this subscription has no place at `{queue}`"))
    }
}

pub(crate) fn too_late(deadline: Duration) -> Failure {
    Failure::new(Fault::InDoubt, format!("the database gave no answer within {deadline:?}"))
}
