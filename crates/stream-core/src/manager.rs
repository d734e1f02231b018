//! The program's handle on its queues: push, pop, look, clear; over one or several connections.

use std::{collections::BTreeMap, slice, sync::Arc, time::Duration};

use crate::{
    Capabilities, Cleared, DeadLetters, Depth, Driver, Error, ErrorKind, Finding, IntoDraft, NewJob, Push,
    PushManyError, Pushed, QueueName, Reserve, ReservedJob, Result, Subscription,
};

/// Pushes jobs and looks after queues, over one or several named connections; cheap to clone.
///
/// ```
/// # use stream_core::{Draft, QueueManager, Result};
/// # async fn example(queue: QueueManager) -> Result<()> {
/// queue.push(Draft::named("resize", &("cat.png", 640))).on_queue("pictures").await?;
/// if let Some(job) = queue.pop("pictures").await? {
///     let (file, width): (String, u32) = job.decode()?;
///     println!("resizing {file} to {width}");
///     job.complete().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct QueueManager {
    connections: Arc<BTreeMap<String, Arc<dyn Driver>>>,
    default: Arc<str>,
    /// A mistake in building it, reported by whatever is called first.
    problem: Option<Error>,
}

/// The name of the connection that `new` is given.
const FIRST: &str = "default";

impl QueueManager {
    /// A manager whose default connection is this driver, under the name `default`.
    pub fn new(driver: impl Driver) -> Self {
        let first: Arc<dyn Driver> = Arc::new(driver);
        let connections = BTreeMap::from([(FIRST.to_owned(), first)]);
        Self { connections: Arc::new(connections), default: Arc::from(FIRST), problem: None }
    }

    /// Adds a connection; a name given twice is reported by the first call that uses the manager.
    #[must_use]
    pub fn with_connection(mut self, name: impl Into<String>, driver: impl Driver) -> Self {
        let name = name.into();
        if self.connections.contains_key(&name) {
            let error = Error::config("connection", format!("the connection {name:?} is named twice"));
            self.problem.get_or_insert(error);
            return self;
        }
        Arc::make_mut(&mut self.connections).insert(name, Arc::new(driver));
        self
    }

    /// The same manager with `name` as its default connection.
    ///
    /// # Errors
    /// `Config` for an unknown name; the message lists the known ones.
    pub fn connection(&self, name: &str) -> Result<Self> {
        self.find(Some(name))?;
        Ok(Self { default: Arc::from(name), ..self.clone() })
    }

    /// What the default connection promises.
    pub fn capabilities(&self) -> Capabilities {
        self.connections[&*self.default].capabilities()
    }

    /// A push that is sent by `.await`.
    ///
    /// # Errors
    /// Of the `.await`: `Config`, `InvalidJob` and `Unsupported` before anything is sent;
    /// `Unavailable` if it is certainly not stored; `OutcomeUnknown` if it may be: push the same
    /// draft again, its id is recognised.
    pub fn push(&self, job: impl IntoDraft) -> Push {
        job.into_draft().bind(self.clone())
    }

    /// Pushes many jobs, of mixed types, queues and connections, in one call per queue.
    ///
    /// # Errors
    /// The answers of all jobs if at least one was not stored; the others were.
    pub async fn push_many<I>(&self, jobs: I) -> Result<Vec<Pushed>, PushManyError>
    where
        I: IntoIterator,
        I::Item: IntoDraft,
    {
        let mut answers: Vec<Option<Result<Pushed>>> = Vec::new();
        let mut batches: BTreeMap<(String, QueueName), (Vec<usize>, Vec<NewJob>)> = BTreeMap::new();
        let mut capabilities: BTreeMap<String, Capabilities> = BTreeMap::new();
        for (at, job) in jobs.into_iter().enumerate() {
            let draft = job.into_draft();
            let connection = draft.connection_name().unwrap_or(&self.default).to_owned();
            let prepared = self.find(Some(&connection)).and_then(|driver| {
                let promised =
                    capabilities.entry(connection.clone()).or_insert_with(|| driver.capabilities());
                draft.prepare(promised)
            });
            answers.push(prepared.as_ref().err().map(|error| Err(error.clone())));
            if let Ok((queue, job)) = prepared {
                let (places, batch) = batches.entry((connection, queue)).or_default();
                places.push(at);
                batch.push(job);
            }
        }
        for ((connection, queue), (places, batch)) in batches {
            let pushed = match self.find(Some(&connection)) {
                Ok(driver) => driver.push(&queue, &batch).await,
                Err(error) => vec![Err(error)],
            };
            for (place, answer) in places.into_iter().zip(pushed) {
                answers[place] = Some(answer);
            }
        }
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect();
        match answers.iter().all(Result::is_ok) {
            true => Ok(answers.into_iter().flatten().collect()),
            false => Err(PushManyError::new(answers)),
        }
    }

    /// Takes one ready job on a lease of 30 seconds, or none.
    ///
    /// # Errors
    /// `Config` for a bad name; the driver's own.
    pub async fn pop(&self, queue: &str) -> Result<Option<ReservedJob>> {
        Ok(self.reserve(queue, Reserve::new(1)).await?.pop())
    }

    /// Takes up to `request.max_jobs` ready jobs by hand.
    ///
    /// # Errors
    /// `Config` for a bad name, no jobs or a zero lease; `Unsupported` for a lease or rate limit that
    /// the connection does not promise; the driver's own.
    pub async fn reserve(&self, queue: &str, request: Reserve) -> Result<Vec<ReservedJob>> {
        let (driver, queue) = (self.find(None)?, QueueName::new(queue)?);
        check_reserve(&request, &driver.capabilities())?;
        let subscription = driver.subscribe(slice::from_ref(&queue)).await?;
        let taken = take(driver, &*subscription, &queue, request).await;
        // What was taken is valid without the subscription; a failed close must not hide it.
        let closed = subscription.close().await;
        match taken {
            Ok(jobs) if jobs.is_empty() => closed.map(|()| jobs),
            taken => taken,
        }
    }

    /// How many jobs wait to be worked: ready and delayed.
    ///
    /// # Errors
    /// `Config` for a bad name; the driver's own.
    pub async fn size(&self, queue: &str) -> Result<u64> {
        let depth = self.depth(queue).await?;
        Ok(depth.ready + depth.delayed)
    }

    /// Ready, delayed and reserved jobs.
    ///
    /// # Errors
    /// `Config` for a bad name; the driver's own.
    pub async fn depth(&self, queue: &str) -> Result<Depth> {
        self.find(None)?.depth(&QueueName::new(queue)?).await
    }

    /// Removes the waiting jobs; running ones and dead letters stay.
    ///
    /// # Errors
    /// `Config` for a bad name; the driver's own.
    pub async fn clear(&self, queue: &str) -> Result<Cleared> {
        self.find(None)?.clear(&QueueName::new(queue)?).await
    }

    /// The jobs of a queue that were given up on; errors come from its methods.
    pub fn dead_letters(&self, queue: &str) -> DeadLetters {
        DeadLetters::new(self.find(None).cloned(), QueueName::new(queue))
    }

    /// Judges all connections: server, schema, settings and permissions.
    ///
    /// # Errors
    /// The first driver's own.
    pub async fn check(&self) -> Result<Vec<Finding>> {
        self.sound()?;
        let mut findings = Vec::new();
        for driver in self.connections.values() {
            findings.extend(driver.check().await?);
        }
        Ok(findings)
    }

    /// Ends all connections; the manager and its clones are of no use afterwards.
    ///
    /// # Errors
    /// The first driver's own; the others are closed as well.
    pub async fn close(&self) -> Result<()> {
        let mut result = Ok(());
        for driver in self.connections.values() {
            result = result.and(driver.close().await);
        }
        result
    }

    pub(crate) async fn send(&self, push: Push) -> Result<Pushed> {
        let driver = self.find(push.connection_name())?;
        let (queue, job) = push.prepare(&driver.capabilities())?;
        driver.push(&queue, slice::from_ref(&job)).await.pop().unwrap_or_else(unanswered)
    }

    /// The driver of a connection, or of the default one.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<&Arc<dyn Driver>> {
        self.sound()?;
        let name = name.unwrap_or(&self.default);
        self.connections.get(name).ok_or_else(|| {
            let known: Vec<_> = self.connections.keys().map(String::as_str).collect();
            let known = known.join(", ");
            Error::config("connection", format!("{name:?} is not a connection; there are: {known}"))
        })
    }

    fn sound(&self) -> Result<()> {
        self.problem.as_ref().map_or(Ok(()), |problem| Err(problem.clone()))
    }
}

/// Reserves until something that can be run was taken, or nothing is left.
async fn take(
    driver: &Arc<dyn Driver>,
    subscription: &dyn Subscription,
    queue: &QueueName,
    request: Reserve,
) -> Result<Vec<ReservedJob>> {
    let mut has_asked = false;
    loop {
        let deliveries = subscription.reserve(queue, request).await?;
        if deliveries.is_empty() {
            // Stores that take only by waiting must be asked once.
            if has_asked || subscription.ready(Duration::ZERO).await?.is_empty() {
                return Ok(Vec::new());
            }
            has_asked = true;
        }
        let (mut jobs, mut failure) = (Vec::new(), Ok(()));
        for delivery in deliveries {
            match ReservedJob::accept(driver, queue, delivery).await {
                Ok(job) => jobs.extend(job),
                // It comes back after its lease; what was taken beside it is not held up.
                Err(error) => failure = Err(error),
            }
        }
        if !jobs.is_empty() {
            return Ok(jobs);
        }
        failure?;
    }
}

fn check_reserve(request: &Reserve, capabilities: &Capabilities) -> Result<()> {
    if request.max_jobs == 0 {
        return Err(Error::config("reserve", "max_jobs must be at least 1"));
    }
    check_lease(request.lease, capabilities)?;
    request.rate_limit.map_or(Ok(()), |limit| check_rate_limit(limit, capabilities))
}

pub(crate) fn check_lease(lease: Duration, capabilities: &Capabilities) -> Result<()> {
    match lease.is_zero() || lease > crate::LONGEST {
        true => Err(Error::config("lease", "the lease must be above zero and at most 2^28-1 seconds")),
        false => capabilities.lease.allows(lease),
    }
}

pub(crate) fn check_rate_limit(rate: crate::RateLimit, capabilities: &Capabilities) -> Result<()> {
    if rate.limit == 0 || rate.window.is_zero() || rate.window > crate::LONGEST {
        return Err(Error::config(
            "rate limit",
            "limit and window must be above zero, the window at most 2^28-1 s",
        ));
    }
    capabilities.rate_limit.allows("rate limit", true)
}

fn unanswered<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unexpected, "core", "push").explained("the driver left the job unanswered"))
}
