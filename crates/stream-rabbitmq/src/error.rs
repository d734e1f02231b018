//! What the driver's errors say.

use stream_core::{Error, ErrorKind, QueueName};

use crate::fault::{Failure, Fault};

pub(crate) const DRIVER: &str = "rabbitmq";

/// In which operation an error came up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At(pub(crate) &'static str);

impl At {
    pub(crate) fn error(self, failure: Failure) -> Error {
        let kind = match failure.fault {
            Fault::Away => ErrorKind::Unavailable,
            Fault::InDoubt => ErrorKind::OutcomeUnknown,
            Fault::Refused => ErrorKind::InvalidJob,
            Fault::Config => ErrorKind::Config,
            Fault::LeaseLost => ErrorKind::LeaseLost,
            Fault::Unexpected => ErrorKind::Unexpected,
        };
        let mut error = Error::new(kind, DRIVER, self.0);
        if let Some(detail) = failure.detail {
            error = error.explained(detail);
        }
        match failure.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }

    pub(crate) fn lease_lost(self) -> Error {
        self.error(Failure::lease_lost())
    }

    pub(crate) fn config(self, detail: impl Into<String>) -> Error {
        self.error(Failure::new(Fault::Config, detail))
    }

    pub(crate) fn not_subscribed(self, queue: &QueueName) -> Error {
        self.config(format!("this subscription has no place at `{queue}`"))
    }

    pub(crate) fn unsupported(self, feature: &'static str, limit: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unsupported { feature, limit: limit.into() }, DRIVER, self.0)
    }
}

pub(crate) fn closed() -> Failure {
    Failure::new(Fault::Away, "this connection was closed")
}
