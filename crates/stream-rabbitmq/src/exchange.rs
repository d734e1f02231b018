//! An exchange of the user's that jobs are pushed to, and the queues that are bound to it.

use stream_core::{Error, ErrorKind, QueueName, ROUTE_BYTES_MAX, Result};

use crate::error::DRIVER;

/// Longest name of an exchange: an AMQP 0-9-1 short string.
const NAME_BYTES_MAX: usize = 255;

/// An exchange that jobs are pushed to, with the queues that are bound to it.
///
/// A push goes to the exchange with the job's route, or else the name of its queue, as its routing key, and with
/// the job's headers. Every queue whose binding fits gets a job of its own; a push that fits none is refused.
///
/// ```
/// use stream_rabbitmq::{Exchange, HeaderMatch};
///
/// let events = Exchange::topic("events").bind_key("emails", "user.*").bind_key("audit", "#");
/// let mail = Exchange::headers("mail").bind_headers("urgent", HeaderMatch::All, [("kind", "urgent")]);
/// let all = Exchange::fanout("all").bind("emails").bind("audit");
/// # drop((events, mail, all));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    pub(crate) name: String,
    pub(crate) kind: ExchangeKind,
    pub(crate) bindings: Vec<Binding>,
}

/// How an exchange decides which queues get a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Those bound with exactly the job's routing key.
    Direct,
    /// Those bound with a pattern that fits the job's routing key: `*` is one word, `#` any number.
    Topic,
    /// Those bound with headers that the job has.
    Headers,
    /// All that are bound.
    Fanout,
}

/// How many of a binding's headers a job must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderMatch {
    /// Each of them.
    All,
    /// One of them.
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) queue: String,
    pub(crate) by: By,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    Key(String),
    Headers(HeaderMatch, Vec<(String, String)>),
}

impl Exchange {
    /// A job goes to the queues bound with exactly its routing key.
    pub fn direct(name: impl Into<String>) -> Self {
        Self::new(name, ExchangeKind::Direct)
    }

    /// A job goes to the queues bound with a pattern that fits its routing key.
    pub fn topic(name: impl Into<String>) -> Self {
        Self::new(name, ExchangeKind::Topic)
    }

    /// A job goes to the queues bound with headers that it has.
    pub fn headers(name: impl Into<String>) -> Self {
        Self::new(name, ExchangeKind::Headers)
    }

    /// A job goes to every queue that is bound.
    pub fn fanout(name: impl Into<String>) -> Self {
        Self::new(name, ExchangeKind::Fanout)
    }

    /// Binds a queue with its own name as the key; on a fanout exchange the key means nothing.
    #[must_use]
    pub fn bind(self, queue: impl Into<String>) -> Self {
        let queue = queue.into();
        let key = queue.clone();
        self.bound(queue, By::Key(key))
    }

    /// Binds a queue with a key, on a topic exchange a pattern; one queue may be bound several times.
    #[must_use]
    pub fn bind_key(self, queue: impl Into<String>, key: impl Into<String>) -> Self {
        self.bound(queue.into(), By::Key(key.into()))
    }

    /// Binds a queue with headers; those that begin with `x-` are never looked at by the broker, and refused.
    #[must_use]
    pub fn bind_headers<N: Into<String>, V: Into<String>>(
        self,
        queue: impl Into<String>,
        how: HeaderMatch,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.bound(queue.into(), By::Headers(how, headers))
    }

    /// How it decides.
    pub fn kind(&self) -> ExchangeKind {
        self.kind
    }

    fn new(name: impl Into<String>, kind: ExchangeKind) -> Self {
        Self { name: name.into(), kind, bindings: Vec::new() }
    }

    fn bound(mut self, queue: String, by: By) -> Self {
        self.bindings.push(Binding { queue, by });
        self
    }

    /// Whether a routing key decides anything.
    pub(crate) fn has_keys(&self) -> bool {
        matches!(self.kind, ExchangeKind::Direct | ExchangeKind::Topic)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || self.name.starts_with("amq.") {
            return wrong("an exchange has a name of 1 to 255 bytes that does not begin with `amq.`");
        }
        self.bindings.iter().try_for_each(|binding| {
            QueueName::new(&binding.queue)?;
            self.check_by(&binding.by)
        })
    }

    fn check_by(&self, by: &By) -> Result<()> {
        match (by, self.kind) {
            (By::Key(_), ExchangeKind::Headers) => {
                wrong("a headers exchange is bound with headers: use `bind_headers`")
            }
            (By::Key(key), _) if key.len() > ROUTE_BYTES_MAX => wrong("a key has at most 255 bytes"),
            (By::Key(_), _) => Ok(()),
            (By::Headers(_, headers), ExchangeKind::Headers) => {
                let is_ignored =
                    |(name, _): &(String, String)| is_reserved(name) || name.len() > NAME_BYTES_MAX;
                if headers.is_empty() || headers.iter().any(is_ignored) {
                    return wrong(
                        "bind with at least one header, none of which begins with `x-` or `stream-`",
                    );
                }
                Ok(())
            }
            (By::Headers(..), _) => wrong("only a headers exchange is bound with headers: use `bind_key`"),
        }
    }
}

/// Names of headers that the broker or this driver gives a meaning.
pub(crate) fn is_reserved(header: &str) -> bool {
    header.starts_with("x-") || header.starts_with("stream-") || header == "CC" || header == "BCC"
}

fn wrong(detail: &str) -> Result<()> {
    Err(Error::new(ErrorKind::Config, DRIVER, "connect").explained(detail))
}
