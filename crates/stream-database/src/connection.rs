//! A connection to a database: its dialect, whether it was closed, and how a call is made through it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use stream_core::Result;
use tokio::time::{sleep, timeout};

use crate::{
    DatabaseConfig,
    completions::Completions,
    dialect::{Dialect, Pace},
    error::{self, At, Effect},
    fault::{Fault, Outcome},
    listener::Listener,
    receipt::{self, Ended},
    wakes::Wakes,
};

/// How often a step is made that fails by conflict with another transaction.
const TRIES: u32 = 6;
/// Before the second try; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(2);

/// A step of a dialect, on its way.
pub(crate) type Step<'s, T> = Pin<Box<dyn Future<Output = Outcome<T>> + Send + 's>>;

/// What a driver and its subscriptions share.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) config: DatabaseConfig,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) ended: Ended,
    /// Deliveries that were ended in transactions of the program.
    pub(crate) completions: Completions,
    listener: Listener,
    closed: AtomicBool,
}

impl Connection {
    pub(crate) fn new(dialect: Arc<dyn Dialect>, config: DatabaseConfig) -> Self {
        Self {
            dialect,
            config,
            wakes: Arc::default(),
            ended: Ended::default(),
            completions: Completions::default(),
            listener: Listener::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn at(&self, operation: &'static str, effect: Effect) -> At {
        At { driver: self.dialect.name(), operation, effect }
    }

    /// Makes one step that changes something.
    pub(crate) async fn write<'s, T>(
        &self,
        operation: &'static str,
        step: impl Fn() -> Step<'s, T> + Send,
    ) -> Result<T> {
        self.call(self.at(operation, Effect::Writes), step).await
    }

    /// Makes one step that changes nothing.
    pub(crate) async fn read<'s, T>(
        &self,
        operation: &'static str,
        step: impl Fn() -> Step<'s, T> + Send,
    ) -> Result<T> {
        self.call(self.at(operation, Effect::Reads), step).await
    }

    /// Makes one step in a transaction of the program.
    ///
    /// Once and without a deadline: whoever began the transaction repeats it as a whole, and a step that is
    /// given up half way would leave it in a state that nobody knows.
    pub(crate) async fn within<T>(&self, operation: &'static str, step: Step<'_, T>) -> Result<T> {
        // Nothing is changed before the commit, so a lost answer has changed nothing.
        let at = self.at(operation, Effect::Reads);
        self.ensure_open(at)?;
        step.await.map_err(|failure| at.error(failure))
    }

    /// Repeats a step that others were in the way of; gives each try its deadline.
    async fn call<'s, T>(&self, at: At, step: impl Fn() -> Step<'s, T> + Send) -> Result<T> {
        let deadline = self.config.call_timeout;
        let mut tries = 0;
        loop {
            self.ensure_open(at)?;
            let tried = timeout(deadline, step()).await;
            match tried.unwrap_or_else(|_| Err(error::too_late(deadline))) {
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.fault == Fault::Conflict && tries < TRIES => {
                    sleep(jittered(PAUSE * 2_u32.pow(tries))).await;
                    tries += 1;
                }
                // What a call is answered whose connection was closed under it.
                Err(failure) if failure.fault == Fault::Away && self.is_closed() => return Err(at.closed()),
                Err(failure) => return Err(at.error(failure)),
            }
        }
    }

    pub(crate) fn ensure_open(&self, at: At) -> Result<()> {
        if self.is_closed() { Err(at.closed()) } else { Ok(()) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn pace(&self) -> Pace {
        self.config.pace(self.dialect.pace())
    }

    /// Sees to it that wakes of other processes are heard.
    pub(crate) fn listen(&self) {
        self.listener.ensure(&self.dialect, &self.wakes);
    }

    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.listener.stop();
        // Who waits is to learn of it at once.
        self.wakes.all();
        self.dialect.close().await;
    }
}

/// Between one and one and a half of it, so that those who met once do not meet again.
pub(crate) fn jittered(span: Duration) -> Duration {
    let share = (receipt::token().unsigned_abs() % 1_000) as u32;
    span + span * share / 2_000
}
