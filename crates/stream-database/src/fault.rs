//! Why a call to the database failed, and what is known of its effect.

use std::{error::Error as StdError, fmt};

use sqlx::error::DatabaseError;

/// What a dialect answers.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// What is known of a call that failed, and so what a caller can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not done: the database cannot be reached, is starting, stopping, full or read only.
    Away,
    /// Not done, because of another transaction: it will work when repeated.
    Conflict,
    /// Sent, and the answer was lost: done or not done.
    InDoubt,
    /// Not done, because of what a row holds; its neighbours may be stored.
    Refused,
    /// Not done, because of a setting: address, password, permission, missing table.
    Config,
    /// Anything else.
    Unexpected,
}

/// When an error came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing of the call had been sent.
    Connecting,
    /// A statement had been sent, or may have been.
    Running,
}

/// A failed call.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// What was wrong and what to do, if more is to be said than the fault says.
    pub(crate) detail: Option<String>,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: Some(detail.into()), source: None }
    }

    /// Reads an error of sqlx; what the server said is judged by the dialect.
    pub(crate) fn of(error: sqlx::Error, moment: Moment, judge: fn(&dyn DatabaseError) -> Fault) -> Self {
        use sqlx::Error as E;
        let fault = match &error {
            E::Database(said) => judge(&**said),
            E::PoolTimedOut | E::PoolClosed | E::BeginFailed => Fault::Away,
            E::Configuration(_) | E::Tls(_) if moment == Moment::Connecting => Fault::Config,
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::WorkerCrashed => match moment {
                Moment::Connecting => Fault::Away,
                Moment::Running => Fault::InDoubt,
            },
            _ => Fault::Unexpected,
        };
        Self { fault, detail: None, source: Some(without_values(error)) }
    }
}

/// What the server said, without the parts that quote stored values.
#[derive(Debug)]
struct Said {
    code: Option<String>,
    message: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "the server said {code}: {}", self.message),
            None => write!(f, "the server said: {}", self.message),
        }
    }
}

impl StdError for Said {}

/// An error of the server quotes whole rows in its details, which may be payloads: only its code and its
/// first line are kept.
fn without_values(error: sqlx::Error) -> Box<dyn StdError + Send + Sync> {
    match error {
        sqlx::Error::Database(said) => Box::new(Said {
            code: said.code().map(std::borrow::Cow::into_owned),
            message: said.message().lines().next().unwrap_or_default().to_owned(),
        }),
        other => Box::new(other),
    }
}
