//! A job on its way into a queue.

use std::{borrow::Cow, pin::Pin, time::Duration};

use serde::Serialize;

use crate::*;

/// A job on its way into a queue: options first, then `.await`.
///
/// The `.await` reports a mistake in an option before anything is sent.
#[must_use = "nothing is sent before `.await`"]
#[derive(Debug, Clone)]
pub struct Push<To = QueueManager> {
    to: To,
    queue: Cow<'static, str>,
    pub(crate) connection: Option<String>,
    job: NewJob,
    problem: Option<Error>,
}

/// A job with its options, for `push_many` or a caller's transaction.
pub type Draft = Push<()>;

impl Draft {
    /// A typed job with the defaults of its type.
    pub fn new<J: Job>(job: J) -> Self {
        const { job::check::<J>() };
        let mut draft = Self::of(J::NAME.into(), J::CODEC, J::CODEC.serialize(&job));
        draft.queue = J::QUEUE.into();
        let envelope = &mut draft.job.envelope;
        envelope.priority = J::PRIORITY;
        envelope.max_attempts = J::MAX_ATTEMPTS;
        envelope.backoff = J::BACKOFF;
        envelope.timeout = J::TIMEOUT;
        draft
    }

    /// A job by name.
    pub fn named<T: Serialize + ?Sized>(name: &str, payload: &T) -> Self {
        let codec = Codec::MessagePack;
        Self::of(name.to_owned().into(), codec, codec.serialize(payload))
    }

    /// A job by name with the caller's bytes.
    pub fn raw(name: &str, bytes: Vec<u8>) -> Self {
        Self::of(name.to_owned().into(), Codec::Raw, Ok(bytes))
    }

    /// The job as a driver takes it, checked.
    ///
    /// # Errors
    /// `InvalidJob` for what no store may be asked to keep.
    pub fn into_job(self) -> Result<NewJob> {
        self.checked()
    }

    fn of(name: Cow<'static, str>, codec: Codec, payload: Result<Vec<u8>, BoxError>) -> Self {
        let (payload, problem) = match payload {
            Ok(bytes) => (bytes, None),
            Err(source) => {
                let error = Error::invalid_job(format!("the job `{name}` cannot be serialised"));
                (Vec::new(), Some(error.caused_by(source)))
            }
        };
        let job = NewJob::new(Envelope::new(name, codec, payload));
        Self { to: (), queue: DEFAULT_QUEUE.into(), connection: None, job, problem }
    }

    pub(crate) fn bind(self, manager: QueueManager) -> Push {
        let Self { to: (), queue, connection, job, problem } = self;
        Push { to: manager, queue, connection, job, problem }
    }
}

impl<To> Push<To> {
    /// The queue; `.await` reports a bad name.
    pub fn on_queue(mut self, queue: impl AsRef<str>) -> Self {
        self.queue = queue.as_ref().to_owned().into();
        self
    }

    /// The connection of the manager; its default one unless set.
    pub fn on_connection(mut self, name: impl Into<String>) -> Self {
        self.connection = Some(name.into());
        self
    }

    /// Not delivered sooner than this after the push, by the store's clock.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.job.delay = delay;
        self
    }

    /// How urgent the job is.
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.job.envelope.priority = priority;
        self
    }

    /// How long the job waits between attempts.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.job.envelope.backoff = backoff;
        self
    }

    /// How many times it may fail before it is buried; at least 1.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.job.envelope.max_attempts = attempts;
        self
    }

    /// How long one attempt may run; `None` lifts the limit.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.job.envelope.timeout = timeout.into();
        self
    }

    /// The routing key, where the connection promises that; at most 255 bytes.
    pub fn route(mut self, key: impl Into<String>) -> Self {
        self.job.route = Some(key.into());
        self
    }

    /// At most one job of this group is in flight, where the connection promises that.
    pub fn group(mut self, key: impl Into<String>) -> Self {
        self.job.envelope.group = Some(key.into());
        self
    }

    /// Not stored while a waiting or reserved job has this key, where the connection promises that.
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.job.envelope.unique_key = Some(key.into());
        self
    }

    /// Adds a header; 8 KiB in all.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.job.envelope.headers.insert(name.into(), value.into());
        self
    }

    /// The id, known before `.await`.
    pub fn id(&self) -> JobId {
        self.job.envelope.id
    }

    /// The checked queue and job, for a caller's transaction.
    ///
    /// # Errors
    /// `Config` for a bad queue name, `InvalidJob` for a bad job, `Unsupported` for what
    /// `capabilities` does not promise.
    pub fn prepare(self, capabilities: &Capabilities) -> Result<(QueueName, NewJob)> {
        let queue = QueueName::new(&self.queue)?;
        let job = self.checked()?;
        capabilities.allows(&job)?;
        Ok((queue, job))
    }

    fn checked(self) -> Result<NewJob> {
        self.problem.map_or(Ok(()), Err)?;
        self.job.validate().map(|()| self.job)
    }
}

impl IntoFuture for Push {
    type Output = Result<Pushed>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Pushed>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.to.clone().send(self).await })
    }
}

/// What can be pushed: a [`Job`] or a [`Draft`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a `Job` nor a `Draft`",
    note = "implement `Job` for it, or use `Draft::named(name, &payload)`"
)]
pub trait IntoDraft {
    /// The job with its options.
    fn into_draft(self) -> Draft;
}

impl<J: Job> IntoDraft for J {
    fn into_draft(self) -> Draft {
        Draft::new(self)
    }
}

impl IntoDraft for Draft {
    fn into_draft(self) -> Draft {
        self
    }
}
