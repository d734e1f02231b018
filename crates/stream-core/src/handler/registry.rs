//! Which code works which job.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use crate::*;

type Handling = Pin<Box<dyn Future<Output = JobResult> + Send>>;
type Layer = Arc<dyn Fn(Context, Next) -> Handling + Send + Sync>;

/// By name.
pub(crate) type Registry = HashMap<String, Runnable>;

/// Which code works which job; cloned between consumers.
///
/// A consumer's start reports a name registered twice.
#[derive(Clone, Default)]
pub struct Handlers {
    entries: BTreeMap<String, Registered>,
    layers: Vec<Layer>,
    problem: Option<Error>,
}

#[derive(Clone)]
struct Registered {
    handler: Arc<dyn AnyHandler>,
    queue: &'static str,
    /// Of a merged registry; else those of this one.
    layers: Option<Arc<[Layer]>>,
}

impl Handlers {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Works jobs of type `J`, found by `J::NAME`.
    #[must_use]
    pub fn register<J: Job>(self, handler: impl Handler<J>) -> Self {
        const { check::<J>() };
        self.add(J::NAME, J::QUEUE, Typed::<J, _>(handler, PhantomData))
    }

    /// Works jobs that carry their own code.
    #[must_use]
    pub fn register_job<J: SelfHandling>(self) -> Self {
        self.register::<J>(Itself)
    }

    /// Works jobs of this name whose payload is a `P`.
    #[must_use]
    pub fn register_named<P>(self, name: &str, handler: impl Handler<P>) -> Self
    where
        P: DeserializeOwned + Send + 'static,
    {
        self.add(name, DEFAULT_QUEUE, Typed::<P, _>(handler, PhantomData))
    }

    /// Wraps all handlers of this registry, later ones too; the first is outermost.
    ///
    /// ```
    /// # use stream_core::*;
    /// let handlers = Handlers::new().middleware(|cx: Context, next: Next| async move {
    ///     println!("{} begins", cx.id());
    ///     next.run(cx).await
    /// });
    /// ```
    #[must_use]
    pub fn middleware<F, R>(mut self, layer: F) -> Self
    where
        F: Fn(Context, Next) -> R + Send + Sync + 'static,
        R: Future<Output = JobResult> + Send + 'static,
    {
        self.layers.push(Arc::new(move |cx, next| Box::pin(layer(cx, next))));
        self
    }

    /// Adds the handlers of another registry; each keeps its own middleware.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        let layers: Arc<[Layer]> = other.layers.into();
        self.problem = self.problem.or(other.problem);
        for (name, mut registered) in other.entries {
            registered.layers.get_or_insert_with(|| layers.clone());
            self = self.insert(&name, registered);
        }
        self
    }

    pub(crate) fn queues(&self) -> BTreeSet<String> {
        let queues: BTreeSet<_> = self.entries.values().map(|registered| registered.queue.into()).collect();
        if queues.is_empty() { [DEFAULT_QUEUE.into()].into() } else { queues }
    }

    pub(crate) fn freeze(&self) -> Result<Registry> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let own: Arc<[Layer]> = self.layers.as_slice().into();
        let runnable = |Registered { handler, layers, .. }: &Registered| Runnable {
            handler: handler.clone(),
            layers: layers.as_ref().unwrap_or(&own).clone(),
            pace: Arc::default(),
        };
        Ok(self.entries.iter().map(|(name, registered)| (name.clone(), runnable(registered))).collect())
    }

    fn add(self, name: &str, queue: &'static str, handler: impl AnyHandler + 'static) -> Self {
        self.insert(name, Registered { handler: Arc::new(handler), queue, layers: None })
    }

    fn insert(mut self, name: &str, registered: Registered) -> Self {
        if self.entries.insert(name.to_owned(), registered).is_some() {
            let error = Error::config("register", format!("{name:?} is registered twice"));
            self.problem.get_or_insert(error);
        }
        self
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.keys()).finish()
    }
}

#[derive(Clone)]
pub(crate) struct Runnable {
    handler: Arc<dyn AnyHandler>,
    layers: Arc<[Layer]>,
    pub(crate) pace: Arc<Pace>,
}

impl Runnable {
    pub(crate) fn handle(&self, cx: Context) -> Handling {
        match self.layers.is_empty() {
            true => self.handler.clone().handle(cx),
            false => Box::pin(Next { runnable: self.clone(), at: 0 }.run(cx)),
        }
    }

    pub(crate) async fn failed(self, error: &JobError, cx: Context) {
        self.handler.failed(error, cx).await;
    }
}

/// How many jobs in a row gave their thread back at once.
#[derive(Default)]
pub(crate) struct Pace(AtomicU32);

impl Pace {
    const QUICK: Duration = Duration::from_micros(50);
    const PROVEN: u32 = 16;

    /// After the first poll of a job.
    pub(crate) fn note(&self, polled: Duration) {
        match polled < Self::QUICK {
            true if self.is_quick() => {}
            true => drop(self.0.fetch_add(1, Ordering::Relaxed)),
            false => self.0.store(0, Ordering::Relaxed),
        }
    }

    /// Whether others may wait behind a job.
    pub(crate) fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Self::PROVEN
    }
}

/// The rest of the way to the handler.
pub struct Next {
    runnable: Runnable,
    at: usize,
}

impl Next {
    /// Goes on.
    pub async fn run(mut self, cx: Context) -> JobResult {
        match self.runnable.layers.get(self.at).cloned() {
            Some(layer) => {
                self.at += 1;
                layer(cx, self).await
            }
            None => self.runnable.handler.clone().handle(cx).await,
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next(..)")
    }
}

#[async_trait]
trait AnyHandler: Send + Sync {
    fn handle(self: Arc<Self>, cx: Context) -> Handling;
    async fn failed(&self, error: &JobError, cx: Context);
}

struct Typed<J, H>(H, PhantomData<fn(J)>);

#[async_trait]
impl<J: DeserializeOwned + Send + 'static, H: Handler<J>> AnyHandler for Typed<J, H> {
    fn handle(self: Arc<Self>, cx: Context) -> Handling {
        Box::pin(async move {
            let job: J = cx.envelope().decode().map_err(JobError::bury)?;
            self.0.handle(job, cx).await
        })
    }

    async fn failed(&self, error: &JobError, cx: Context) {
        if let Ok(job) = cx.envelope().decode::<J>() {
            self.0.failed(job, error, cx).await;
        }
    }
}

struct Itself;

impl<J: SelfHandling> Handler<J> for Itself {
    fn handle(&self, job: J, cx: Context) -> impl Future<Output = JobResult> + Send {
        job.handle(cx)
    }

    fn failed(&self, job: J, error: &JobError, cx: Context) -> impl Future<Output = ()> + Send {
        job.failed(error, cx)
    }
}
