//! The errors of this driver: from what is known of a failed call to what a caller can do.

use std::{error::Error as StdError, fmt, time::Duration};

use fred::error::{Error as FredError, ErrorKind as FredKind};
use stream_core::{Error, ErrorKind, QueueName};

pub(crate) const DRIVER: &str = "redis";

/// Most characters that are kept of what a server or client said.
const SAID_MAX: usize = 200;

/// What a call does to the store, which decides what its lost answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It changes nothing: a lost answer is no answer.
    Reads,
    /// It may have changed something.
    Writes,
}

/// Which operation; what its errors say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) operation: &'static str,
    pub(crate) effect: Effect,
}

/// What the server answers before it has begun a script, and so before anything was changed.
const NOT_BEGUN: [&str; 9] =
    ["LOADING", "BUSY", "MASTERDOWN", "READONLY", "MISCONF", "NOREPLICAS", "TRYAGAIN", "NOSCRIPT", "OOM"];

impl At {
    pub(crate) const fn reads(operation: &'static str) -> Self {
        Self { operation, effect: Effect::Reads }
    }

    pub(crate) const fn writes(operation: &'static str) -> Self {
        Self { operation, effect: Effect::Writes }
    }

    pub(crate) fn error(self, kind: ErrorKind) -> Error {
        Error::new(kind, DRIVER, self.operation)
    }

    pub(crate) fn closed(self) -> Error {
        self.error(ErrorKind::Unavailable).explained("this connection was closed")
    }

    pub(crate) fn lease_lost(self) -> Error {
        self.error(ErrorKind::LeaseLost)
    }

    pub(crate) fn config(self, detail: impl Into<String>) -> Error {
        self.error(ErrorKind::Config).explained(detail)
    }

    pub(crate) fn not_subscribed(self, queue: &QueueName) -> Error {
        self.config(format!("this subscription has no place at `{queue}`"))
    }

    pub(crate) fn not_connected(self, waited: Duration, last: Option<&FredError>) -> Error {
        let error = self
            .error(ErrorKind::Unavailable)
            .explained(format!("no connection to the server in {waited:?}"));
        last.map_or(error.clone(), |last| error.caused_by(Said::by_client(last)))
    }

    /// The server answered what no script of ours answers.
    pub(crate) fn unreadable(self) -> Error {
        self.error(ErrorKind::Unexpected).explained("the server's answer has another shape than expected")
    }

    fn in_doubt(self) -> Error {
        self.error(match self.effect {
            Effect::Reads => ErrorKind::Unavailable,
            Effect::Writes => ErrorKind::OutcomeUnknown,
        })
    }

    /// The client failed after the command was given to it.
    pub(crate) fn failed(self, error: &FredError) -> Error {
        let said = error.details();
        // The words of fred for what never came to a connection.
        let is_unsent = said.starts_with("Failed to route command")
            || said.contains("Client is not initialized")
            || said == "Connection closed unexpectedly.";
        match error.kind() {
            FredKind::Auth | FredKind::Config => self.refused_login(error),
            FredKind::InvalidArgument if said.starts_with("WRONGTYPE") => self.said(said),
            _ if is_unsent => self.error(ErrorKind::Unavailable).caused_by(Said::by_client(error)),
            _ => self.in_doubt().caused_by(Said::by_client(error)),
        }
    }

    /// The server refuses the login or cannot be what the address says.
    pub(crate) fn refused_login(self, error: &FredError) -> Error {
        self.config("the server refuses this user, its password or this kind of connection")
            .caused_by(Said::by_client(error))
    }

    /// The server answered with an error.
    pub(crate) fn said(self, text: &str) -> Error {
        let code = text.split_ascii_whitespace().next().unwrap_or_default();
        let error = match code {
            "OOM" => self.error(ErrorKind::Unavailable).explained(
                "the server's memory is full: work or clear queues and dead letters, or raise `maxmemory`",
            ),
            "READONLY" => self
                .error(ErrorKind::Unavailable)
                .explained("the server is a read-only replica: connect to the primary"),
            code if NOT_BEGUN.contains(&code) => self.error(ErrorKind::Unavailable),
            "CLUSTERDOWN" => self.in_doubt().explained("the cluster does not serve this queue's slot"),
            "MOVED" | "ASK" => {
                self.config("the server is part of a cluster: give an address with `redis-cluster://`")
            }
            "NOAUTH" | "WRONGPASS" | "NOPERM" => {
                self.config("this user may not do that: its password or its permissions are wrong")
            }
            "WRONGTYPE" => self.config(
                "a key of this queue has a wrong type: remove what others have stored there, or set another prefix",
            ),
            _ => self.error(ErrorKind::Unexpected),
        };
        error.caused_by(Said(first_words(text)))
    }
}

/// What the server or the client said, without arguments of commands.
#[derive(Debug)]
struct Said(String);

impl Said {
    fn by_client(error: &FredError) -> Self {
        Self(first_words(&error.to_string()))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Said {}

/// The first line, cut; a server that does not know a command quotes its arguments after these words.
fn first_words(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.split(", with args").next().unwrap_or_default();
    line.chars().take(SAID_MAX).collect()
}
