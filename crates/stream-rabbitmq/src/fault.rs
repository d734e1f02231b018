//! Why a call to the broker failed, and what is known of its effect.

use std::time::Duration;

use lapin::{ErrorKind as Cause, protocol::AMQPError};

/// What a step of the driver answers.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// What is known of a call that failed, and so what a caller can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not done: the broker cannot be reached, blocks publishers, or has refused for now.
    Away,
    /// Sent, and the answer was lost: done or not done.
    InDoubt,
    /// Not done, because of what the job is.
    Refused,
    /// Not done, because of a setting: address, password, permission, a queue that is declared otherwise.
    Config,
    /// The delivery is over.
    LeaseLost,
    /// Anything else.
    Unexpected,
}

/// A failed call. Cheap enough to clone for each job of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// What was wrong and what to do, if more is to be said than the fault says.
    pub(crate) detail: Option<String>,
    pub(crate) source: Option<lapin::Error>,
}

/// The codes of AMQP 0-9-1 and of RabbitMQ that are told apart:
/// <https://www.rabbitmq.com/amqp-0-9-1-reference.html#constants>.
pub(crate) mod code {
    pub(crate) const CONTENT_TOO_LARGE: u16 = 311;
    pub(crate) const CONNECTION_FORCED: u16 = 320;
    pub(crate) const INVALID_PATH: u16 = 402;
    pub(crate) const ACCESS_REFUSED: u16 = 403;
    pub(crate) const NOT_FOUND: u16 = 404;
    pub(crate) const RESOURCE_LOCKED: u16 = 405;
    pub(crate) const PRECONDITION_FAILED: u16 = 406;
    pub(crate) const NOT_ALLOWED: u16 = 530;
    pub(crate) const INTERNAL_ERROR: u16 = 541;
}

impl Failure {
    pub(crate) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: Some(detail.into()), source: None }
    }

    pub(crate) fn lease_lost() -> Self {
        Self { fault: Fault::LeaseLost, detail: None, source: None }
    }

    /// A call that changes nothing, or whose change may be repeated without harm: a declaration.
    pub(crate) fn away(error: lapin::Error) -> Self {
        Self { fault: judge(&error, Fault::Away), detail: None, source: Some(error) }
    }

    /// A call that was sent and not answered.
    pub(crate) fn in_doubt(error: lapin::Error) -> Self {
        Self { fault: judge(&error, Fault::InDoubt), detail: None, source: Some(error) }
    }

    pub(crate) fn no_answer(within: Duration, fault: Fault) -> Self {
        Self::new(fault, format!("the broker gave no answer within {within:?}"))
    }

    pub(crate) fn explained(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The code with which the broker closed the channel or the connection.
    pub(crate) fn code(&self) -> Option<u16> {
        self.source.as_ref().and_then(said).map(AMQPError::get_id)
    }

    /// What the broker said, if it said something.
    pub(crate) fn said(&self) -> Option<&str> {
        self.source.as_ref().and_then(said).map(|said| said.get_message().as_str())
    }
}

/// What the broker said when it closed a channel or a connection.
pub(crate) fn said(error: &lapin::Error) -> Option<&AMQPError> {
    match error.kind() {
        Cause::ProtocolError(said) => Some(said),
        _ => None,
    }
}

/// `unheard` is what a lost connection means for this call.
fn judge(error: &lapin::Error, unheard: Fault) -> Fault {
    match error.kind() {
        Cause::IOError(_)
        | Cause::RuntimeShutdownError(_)
        | Cause::InvalidChannelState(..)
        | Cause::InvalidConnectionState(_)
        | Cause::InvalidChannel(_)
        | Cause::MissingHeartbeatError => unheard,
        Cause::ChannelsLimitReached => Fault::Away,
        Cause::ProtocolError(said) => match said.get_id() {
            code::ACCESS_REFUSED | code::NOT_ALLOWED | code::INVALID_PATH | code::RESOURCE_LOCKED => {
                Fault::Config
            }
            code::CONNECTION_FORCED | code::INTERNAL_ERROR | code::NOT_FOUND => unheard,
            code::CONTENT_TOO_LARGE => Fault::Refused,
            _ => Fault::Unexpected,
        },
        Cause::InvalidProtocolVersion(_) | Cause::AuthProviderError(_) => Fault::Config,
        _ => Fault::Unexpected,
    }
}
