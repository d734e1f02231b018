//! A job with its options: `Push` bound to a manager and sent by `.await`, `Draft` not bound.

use std::{
    borrow::Cow,
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};

use serde::Serialize;

use crate::{
    Backoff, Capabilities, Codec, Envelope, Error, Job, JobId, NewJob, Priority, Pushed, QueueManager,
    QueueName, Result, job,
};

/// A job on its way into a queue: options first, then `.await`.
///
/// `Send + 'static`: it can be stored and sent elsewhere. A mistake in an option is reported by the
/// `.await`, before anything is sent.
#[must_use = "nothing is sent before `.await`"]
#[derive(Debug, Clone)]
pub struct Push<To = QueueManager> {
    to: To,
    queue: Cow<'static, str>,
    connection: Option<String>,
    job: NewJob,
    /// Why the payload could not be serialised.
    problem: Option<Error>,
}

/// A job with options, without a manager: for `push_many` and for pushes in a caller's transaction.
pub type Draft = Push<()>;

impl Draft {
    /// A typed job with the defaults of its type.
    pub fn new<J: Job>(job: J) -> Self {
        const { job::check::<J>() };
        let mut draft = Self::serialized(Cow::Borrowed(J::NAME), J::CODEC, &job);
        draft.queue = Cow::Borrowed(J::QUEUE);
        let envelope = &mut draft.job.envelope;
        envelope.priority = J::PRIORITY;
        envelope.max_attempts = J::MAX_ATTEMPTS;
        envelope.backoff = J::BACKOFF;
        envelope.timeout = J::TIMEOUT;
        draft
    }

    /// A job by name, for programs that share no types with the worker.
    pub fn named<T: Serialize + ?Sized>(name: &str, payload: &T) -> Self {
        Self::serialized(Cow::Owned(name.to_owned()), Codec::MessagePack, payload)
    }

    /// A job by name whose payload is the caller's own bytes.
    pub fn raw(name: &str, bytes: Vec<u8>) -> Self {
        Self::of(Envelope::new(name.to_owned(), Codec::Raw, bytes), None)
    }

    /// The job as a driver takes it, its options checked.
    ///
    /// # Errors
    /// `InvalidJob` for what no store may be asked to keep.
    pub fn into_job(self) -> Result<NewJob> {
        match self.problem {
            Some(problem) => Err(problem),
            None => self.job.validate().map(|()| self.job),
        }
    }

    fn serialized<T: Serialize + ?Sized>(name: Cow<'static, str>, codec: Codec, payload: &T) -> Self {
        let (payload, problem) = match codec.serialize(payload) {
            Ok(bytes) => (bytes, None),
            Err(source) => {
                let error = Error::invalid_job(format!("the job `{name}` cannot be serialised"));
                (Vec::new(), Some(error.caused_by(source)))
            }
        };
        Self::of(Envelope::new(name, codec, payload), problem)
    }

    fn of(envelope: Envelope, problem: Option<Error>) -> Self {
        let queue = Cow::Borrowed(job::DEFAULT_QUEUE);
        Self { to: (), queue, connection: None, job: NewJob::new(envelope), problem }
    }

    pub(crate) fn bind(self, manager: QueueManager) -> Push {
        let Self { to: (), queue, connection, job, problem } = self;
        Push { to: manager, queue, connection, job, problem }
    }
}

impl<To> Push<To> {
    /// The queue; a bad name is reported by `.await`.
    pub fn on_queue(mut self, queue: impl AsRef<str>) -> Self {
        self.queue = Cow::Owned(queue.as_ref().to_owned());
        self
    }

    /// The connection of the manager; its default one if this is not called.
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

    /// How long one attempt may run; `None` lifts the limit of the job's type.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.job.envelope.timeout = timeout.into();
        self
    }

    /// The routing or partition key, where the connection promises routing.
    pub fn route(mut self, key: impl Into<String>) -> Self {
        self.job.route = Some(key.into());
        self
    }

    /// At most one job of this group is in flight, where the connection promises groups.
    pub fn group(mut self, key: impl Into<String>) -> Self {
        self.job.envelope.group = Some(key.into());
        self
    }

    /// Not stored while a waiting or reserved job has this key, where the connection promises unique keys.
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.job.envelope.unique_key = Some(key.into());
        self
    }

    /// Adds a header; all together may have 8 KiB.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.job.envelope.headers.insert(name.into(), value.into());
        self
    }

    /// The id, made by the client and known before `.await`.
    pub fn id(&self) -> JobId {
        self.job.envelope.id
    }

    /// The checked queue and job, as a push inside a caller's transaction stores them.
    ///
    /// # Errors
    /// `Config` for a bad queue name, `InvalidJob` for a bad job, `Unsupported` for what
    /// `capabilities` does not promise.
    pub fn prepare(self, capabilities: &Capabilities) -> Result<(QueueName, NewJob)> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let queue = QueueName::new(&self.queue)?;
        self.job.validate()?;
        capabilities.allows(&self.job)?;
        Ok((queue, self.job))
    }

    pub(crate) fn connection_name(&self) -> Option<&str> {
        self.connection.as_deref()
    }
}

impl IntoFuture for Push {
    type Output = Result<Pushed>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Pushed>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let manager = self.to.clone();
            manager.send(self).await
        })
    }
}

/// What can be pushed: a [`Job`] or a [`Draft`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be pushed: it is neither a `Job` nor a `Draft`",
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
