//! Which code works which job, and the middleware around it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry},
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
};

use serde::de::DeserializeOwned;

use super::{Context, Handler, JobResult, SelfHandling};
use crate::{Error, Job, JobError, Result, job, job::DEFAULT_QUEUE};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Layer = Arc<dyn Fn(Context, Next) -> BoxFuture<'static, JobResult> + Send + Sync>;

/// Which code works which job; cloned between consumers.
///
/// Register with the job's type named, `register::<SendEmail>(app)`: a struct that handles several jobs
/// cannot be inferred. A name registered twice is reported when a consumer starts.
#[derive(Clone, Default)]
pub struct Handlers {
    entries: BTreeMap<String, Registered>,
    /// The middleware of this registry, then that of each merged one.
    layers: Vec<Vec<Layer>>,
    problem: Option<Error>,
}

#[derive(Clone)]
struct Registered {
    handler: Arc<dyn AnyHandler>,
    /// Where jobs of its type are pushed to when nothing else is said.
    queue: &'static str,
    /// Whose middleware is around it: an index of `layers`.
    registry: usize,
}

impl Handlers {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Works jobs of type `J`, found by `J::NAME`.
    #[must_use]
    pub fn register<J: Job>(self, handler: impl Handler<J>) -> Self {
        const { job::check::<J>() };
        self.add(J::NAME, J::QUEUE, Arc::new(Typed::<J, _> { handler, job: PhantomData }))
    }

    /// Works jobs that carry their own code.
    #[must_use]
    pub fn register_job<J: SelfHandling>(self) -> Self {
        const { job::check::<J>() };
        self.add(J::NAME, J::QUEUE, Arc::new(Typed::<J, _> { handler: Itself, job: PhantomData }))
    }

    /// Works jobs of this name whose payload is a `P`.
    #[must_use]
    pub fn register_named<P>(self, name: &str, handler: impl Handler<P>) -> Self
    where
        P: DeserializeOwned + Send + 'static,
    {
        self.add(name, DEFAULT_QUEUE, Arc::new(Typed::<P, _> { handler, job: PhantomData }))
    }

    /// Wraps every handler of this registry, those registered later too; the first is outermost.
    ///
    /// ```
    /// # use stream_core::{Context, Handlers, Next};
    /// let handlers = Handlers::new().middleware(|cx: Context, next: Next| async move {
    ///     println!("{} begins", cx.id());
    ///     let result = next.run(cx.clone()).await;
    ///     println!("{} ended", cx.id());
    ///     result
    /// });
    /// # drop(handlers);
    /// ```
    #[must_use]
    pub fn middleware<F, R>(mut self, layer: F) -> Self
    where
        F: Fn(Context, Next) -> R + Send + Sync + 'static,
        R: Future<Output = JobResult> + Send + 'static,
    {
        self.own_layers().push(Arc::new(move |cx, next| Box::pin(layer(cx, next))));
        self
    }

    /// Adds the handlers of another registry; each keeps its own middleware.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.own_layers();
        let offset = self.layers.len();
        self.layers.extend(other.layers);
        self.problem = self.problem.or(other.problem);
        for (name, mut registered) in other.entries {
            registered.registry += offset;
            self = self.insert(&name, registered);
        }
        // A registry without middleware has no list of its own yet.
        self.layers.resize_with(self.layers.len().max(offset + 1), Vec::new);
        self
    }

    /// The queues of the registered types, or the default one.
    pub(crate) fn queues(&self) -> BTreeSet<&'static str> {
        let queues: BTreeSet<_> = self.entries.values().map(|registered| registered.queue).collect();
        if queues.is_empty() { BTreeSet::from([DEFAULT_QUEUE]) } else { queues }
    }

    /// The registry as a consumer reads it.
    pub(crate) fn freeze(&self) -> Result<Registry> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let layers: Vec<Arc<[Layer]>> = self.layers.iter().map(|layers| layers.as_slice().into()).collect();
        let none: Arc<[Layer]> = Arc::from([]);
        let runnable = |registered: &Registered| Runnable {
            handler: registered.handler.clone(),
            layers: layers.get(registered.registry).unwrap_or(&none).clone(),
        };
        let by_name = self.entries.iter().map(|(name, registered)| (name.clone(), runnable(registered)));
        Ok(Registry { by_name: by_name.collect() })
    }

    fn add(self, name: &str, queue: &'static str, handler: Arc<dyn AnyHandler>) -> Self {
        self.insert(name, Registered { handler, queue, registry: 0 })
    }

    fn insert(mut self, name: &str, registered: Registered) -> Self {
        match self.entries.entry(name.to_owned()) {
            Entry::Vacant(place) => drop(place.insert(registered)),
            Entry::Occupied(_) => {
                let error = Error::config("register", format!("the job name {name:?} is registered twice"));
                self.problem.get_or_insert(error);
            }
        }
        self
    }

    fn own_layers(&mut self) -> &mut Vec<Layer> {
        if self.layers.is_empty() {
            self.layers.push(Vec::new());
        }
        &mut self.layers[0]
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.keys()).finish()
    }
}

/// The handlers by the names of their jobs, for reading.
pub(crate) struct Registry {
    by_name: HashMap<String, Runnable>,
}

impl Registry {
    pub(crate) fn find(&self, name: &str) -> Option<&Runnable> {
        self.by_name.get(name)
    }
}

/// A handler and the middleware around it.
#[derive(Clone)]
pub(crate) struct Runnable {
    handler: Arc<dyn AnyHandler>,
    layers: Arc<[Layer]>,
}

impl Runnable {
    pub(crate) async fn handle(self, cx: Context) -> JobResult {
        Next { runnable: self, at: 0 }.run(cx).await
    }

    pub(crate) async fn failed(self, error: &JobError, cx: Context) {
        self.handler.failed(error, cx).await;
    }
}

/// The rest of the way to the handler: more middleware, then the handler itself.
pub struct Next {
    runnable: Runnable,
    at: usize,
}

impl Next {
    /// Goes on to the next middleware or the handler.
    pub async fn run(mut self, cx: Context) -> JobResult {
        match self.runnable.layers.get(self.at).cloned() {
            Some(layer) => {
                self.at += 1;
                layer(cx, self).await
            }
            None => self.runnable.handler.handle(cx).await,
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Next({} of {})", self.at, self.runnable.layers.len())
    }
}

/// A handler of a job type that is no longer known.
trait AnyHandler: Send + Sync {
    fn handle(&self, cx: Context) -> BoxFuture<'_, JobResult>;
    fn failed<'a>(&'a self, error: &'a JobError, cx: Context) -> BoxFuture<'a, ()>;
}

struct Typed<J, H> {
    handler: H,
    job: PhantomData<fn(J)>,
}

impl<J: DeserializeOwned + Send + 'static, H: Handler<J>> AnyHandler for Typed<J, H> {
    fn handle(&self, cx: Context) -> BoxFuture<'_, JobResult> {
        match cx.envelope().decode() {
            Ok(job) => Box::pin(self.handler.handle(job, cx)),
            Err(error) => Box::pin(std::future::ready(Err(JobError::bury(error)))),
        }
    }

    fn failed<'a>(&'a self, error: &'a JobError, cx: Context) -> BoxFuture<'a, ()> {
        match cx.envelope().decode() {
            Ok(job) => Box::pin(self.handler.failed(job, error, cx)),
            // A payload that is no `J` was buried for just that.
            Err(_) => Box::pin(std::future::ready(())),
        }
    }
}

/// The handler of jobs that carry their own code.
struct Itself;

impl<J: SelfHandling> Handler<J> for Itself {
    fn handle(&self, job: J, cx: Context) -> impl Future<Output = JobResult> + Send {
        job.handle(cx)
    }

    fn failed(&self, job: J, error: &JobError, cx: Context) -> impl Future<Output = ()> + Send {
        job.failed(error, cx)
    }
}
