//! Pushes jobs and looks after queues.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::*;

/// Pushes jobs and looks after queues; cheap to clone.
///
/// ```
/// # use stream_core::*;
/// # async fn example(queue: QueueManager) -> Result<()> {
/// queue.push(Draft::named("resize", "cat.png")).on_queue("pictures").await?;
/// if let Some(job) = queue.pop("pictures").await? {
///     println!("resizing {}", job.decode::<String>()?);
///     job.complete().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct QueueManager {
    connections: Arc<BTreeMap<String, Connection>>,
    default: Arc<str>,
    /// Reported by whatever is called first.
    problem: Option<Error>,
}

#[derive(Debug, Clone)]
struct Connection {
    driver: Arc<dyn Driver>,
    #[cfg(feature = "worker")]
    lanes: Arc<crate::lanes::Lanes>,
}

impl QueueManager {
    /// A manager with this driver as its connection `default`.
    pub fn new(driver: impl Driver) -> Self {
        let manager = Self { connections: Arc::default(), default: "default".into(), problem: None };
        manager.with_connection("default", driver)
    }

    /// Adds a connection; the first call reports a name given twice.
    #[must_use]
    pub fn with_connection(mut self, name: impl Into<String>, driver: impl Driver) -> Self {
        let name = name.into();
        let error = Error::config("connection", format!("{name:?} is named twice"));
        let connection = Connection {
            driver: Arc::new(driver),
            #[cfg(feature = "worker")]
            lanes: Arc::default(),
        };
        if Arc::make_mut(&mut self.connections).insert(name, connection).is_some() {
            self.problem.get_or_insert(error);
        }
        self
    }

    /// The same manager with another default connection.
    ///
    /// # Errors
    /// `Config` for an unknown name.
    pub fn connection(&self, name: &str) -> Result<Self> {
        self.find(Some(name))?;
        Ok(Self { default: Arc::from(name), ..self.clone() })
    }

    /// What the default connection promises.
    pub fn capabilities(&self) -> Capabilities {
        self.connections[&*self.default].driver.capabilities()
    }

    /// A push that is sent by `.await`.
    ///
    /// # Errors
    /// Of the `.await`: `Config`, `InvalidJob` and `Unsupported` before anything is sent;
    /// `Unavailable`: not stored. `OutcomeUnknown`: perhaps stored, push it again.
    pub fn push(&self, job: impl IntoDraft) -> Push {
        job.into_draft().bind(self.clone())
    }

    /// Pushes jobs of any types, in one call per connection and queue.
    ///
    /// # Errors
    /// The answers of all jobs if some were not stored; the others were.
    pub async fn push_many<I>(&self, jobs: I) -> Result<Vec<Pushed>, PushManyError>
    where
        I: IntoIterator,
        I::Item: IntoDraft,
    {
        let mut answers: Vec<Option<Result<Pushed>>> = Vec::new();
        let mut batches = BTreeMap::new();
        for (at, job) in jobs.into_iter().enumerate() {
            let draft = job.into_draft();
            let connection = draft.connection.as_deref().unwrap_or(&self.default).to_owned();
            let driver = self.find(Some(&connection));
            let prepared = driver.and_then(|driver| draft.prepare(&driver.capabilities()));
            answers.push(prepared.as_ref().err().map(|error| Err(error.clone())));
            if let Ok((queue, job)) = prepared {
                let (places, batch): &mut (Vec<_>, Vec<_>) = batches.entry((connection, queue)).or_default();
                places.push(at);
                batch.push(job);
            }
        }
        for ((connection, queue), (places, batch)) in batches {
            let pushed = self.connections[&connection].driver.push(&queue, &batch).await;
            for (place, answer) in places.into_iter().zip(pushed) {
                answers[place] = Some(answer);
            }
        }
        let answers: Vec<_> =
            answers.into_iter().map(|answer| answer.unwrap_or_else(|| unanswered("core", "push"))).collect();
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
    /// `Config` for a bad name or request; `Unsupported` for what the connection does not promise; the
    /// driver's own.
    pub async fn reserve(&self, queue: &str, request: Reserve) -> Result<Vec<ReservedJob>> {
        let (driver, queue) = (self.find(None)?, QueueName::new(queue)?);
        let capabilities = driver.capabilities();
        ensure(request.max_jobs > 0, || Error::config("reserve", "max_jobs must be at least 1"))?;
        check_lease(request.lease, &capabilities)?;
        check_rate_limit(request.rate_limit, &capabilities)?;
        let subscription = driver.subscribe(std::slice::from_ref(&queue)).await?;
        let taken = take(driver, &*subscription, &queue, request).await;
        // A failed close must not hide what was taken.
        let closed = subscription.close().await;
        match taken {
            Ok(jobs) if jobs.is_empty() => closed.map(|()| jobs),
            taken => taken,
        }
    }

    /// How many jobs are ready or delayed.
    ///
    /// # Errors
    /// `Config` for a bad name; the driver's own.
    pub async fn size(&self, queue: &str) -> Result<u64> {
        self.depth(queue).await.map(|depth| depth.ready + depth.delayed)
    }

    /// Ready, delayed and reserved jobs.
    ///
    /// # Errors
    /// `Config` for a bad name; the driver's own.
    pub async fn depth(&self, queue: &str) -> Result<Depth> {
        self.find(None)?.depth(&QueueName::new(queue)?).await
    }

    /// Removes the waiting jobs; those reserved and dead are kept.
    ///
    /// # Errors
    /// `Config` for a bad name; the driver's own.
    pub async fn clear(&self, queue: &str) -> Result<Cleared> {
        self.find(None)?.clear(&QueueName::new(queue)?).await
    }

    /// The jobs of a queue that were given up on.
    pub fn dead_letters(&self, queue: &str) -> DeadLetters {
        DeadLetters::new(self.find(None).cloned(), QueueName::new(queue))
    }

    /// Judges all connections; empty if all is well.
    ///
    /// # Errors
    /// The first driver's own.
    pub async fn check(&self) -> Result<Vec<Finding>> {
        self.find(None)?;
        let mut findings = Vec::new();
        for connection in self.connections.values() {
            findings.extend(connection.driver.check().await?);
        }
        Ok(findings)
    }

    /// Ends all connections; later calls are answered `Unavailable`.
    ///
    /// # Errors
    /// The first driver's own; the others are closed as well.
    pub async fn close(&self) -> Result<()> {
        let mut result = Ok(());
        for connection in self.connections.values() {
            result = result.and(connection.driver.close().await);
        }
        result
    }

    pub(crate) async fn send(&self, push: Push) -> Result<Pushed> {
        let connection = self.connected(push.connection.as_deref())?;
        let driver = &connection.driver;
        let (queue, job) = push.prepare(&driver.capabilities())?;
        #[cfg(feature = "worker")]
        return connection.lanes.push(driver, queue, job).await;
        #[cfg(not(feature = "worker"))]
        only(driver.push(&queue, &[job]).await, driver, "push")
    }

    pub(crate) fn find(&self, name: Option<&str>) -> Result<&Arc<dyn Driver>> {
        self.connected(name).map(|connection| &connection.driver)
    }

    fn connected(&self, name: Option<&str>) -> Result<&Connection> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let name = name.unwrap_or(&self.default);
        self.connections.get(name).ok_or_else(|| {
            let known: Vec<_> = self.connections.keys().map(String::as_str).collect();
            let known = known.join(", ");
            Error::config("connection", format!("{name:?} is not a connection; there are: {known}"))
        })
    }
}

/// Until something that can run was taken, or nothing is left.
async fn take(
    driver: &Arc<dyn Driver>,
    subscription: &dyn Subscription,
    queue: &QueueName,
    request: Reserve,
) -> Result<Vec<ReservedJob>> {
    let mut has_asked = false;
    loop {
        let deliveries = subscription.reserve(queue, request).await?;
        let is_empty = deliveries.is_empty();
        // Some stores take only by waiting.
        if is_empty && (has_asked || subscription.ready(Duration::ZERO).await?.is_empty()) {
            return Ok(Vec::new());
        }
        has_asked = is_empty;
        let (mut jobs, mut failure) = (Vec::new(), Ok(()));
        for delivery in deliveries {
            match ReservedJob::accept(driver, queue, delivery).await {
                Ok(job) => jobs.extend(job),
                // It comes back after its lease.
                Err(error) => failure = Err(error),
            }
        }
        if !jobs.is_empty() {
            return Ok(jobs);
        }
        failure?;
    }
}

pub(crate) fn check_lease(lease: Duration, capabilities: &Capabilities) -> Result<()> {
    ensure(!lease.is_zero() && lease <= LONGEST, || {
        Error::config("lease", "it must be above zero and at most 2^28-1 seconds")
    })?;
    capabilities.lease.allows(lease)
}

pub(crate) fn check_rate_limit(rate: Option<RateLimit>, capabilities: &Capabilities) -> Result<()> {
    let Some(rate) = rate else { return Ok(()) };
    ensure(rate.limit > 0 && !rate.window.is_zero() && rate.window <= LONGEST, || {
        Error::config("rate limit", "limit and window must be above zero, the window at most 2^28-1 seconds")
    })?;
    capabilities.rate_limit.allows("rate limit", true)
}
