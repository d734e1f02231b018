//! What a faulty driver and its subscriptions share: the mode, the call numbers and the counts.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use stream_core::{Error, ErrorKind, QueueName, Result};

use super::{Faults, Operation, Side};

#[derive(Debug)]
pub(super) struct Injector {
    pub(super) name: &'static str,
    // Held for a few instructions, never across an await.
    state: Mutex<State>,
    calls: [AtomicU64; Operation::ALL.len()],
    before: [AtomicU64; Operation::ALL.len()],
    after: [AtomicU64; Operation::ALL.len()],
    is_announced: AtomicBool,
    waits: AtomicU64,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    mode: Mode,
    planned: VecDeque<(Operation, Side)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Seeded,
    Calm,
    Down,
}

impl Injector {
    pub(super) fn new(name: &'static str, faults: Faults) -> Self {
        Self {
            name,
            state: Mutex::new(State { faults, mode: Mode::Seeded, planned: VecDeque::new() }),
            calls: Default::default(),
            before: Default::default(),
            after: Default::default(),
            is_announced: AtomicBool::new(false),
            waits: AtomicU64::new(0),
        }
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        self.state.lock().expect("never poisoned").mode = mode;
    }

    pub(super) fn plan(&self, operation: Operation, side: Side, times: usize) {
        let mut state = self.state.lock().expect("never poisoned");
        state.planned.extend((0..times).map(|_| (operation, side)));
    }

    /// Decides about the next call of an operation and counts it.
    pub(super) fn draw(&self, operation: Operation, queue: Option<&QueueName>) -> Option<Side> {
        let number = self.calls[operation as usize].fetch_add(1, Ordering::Relaxed);
        let side = self.decide(operation, queue, number)?;
        self.counter(side)[operation as usize].fetch_add(1, Ordering::Relaxed);
        Some(side)
    }

    fn decide(&self, operation: Operation, queue: Option<&QueueName>, number: u64) -> Option<Side> {
        let mut state = self.state.lock().expect("never poisoned");
        if state.mode == Mode::Down {
            return Some(Side::Before);
        }
        if let Some(at) = state.planned.iter().position(|(planned, _)| *planned == operation) {
            return state.planned.remove(at).map(|(_, side)| side);
        }
        match state.mode {
            Mode::Calm => None,
            _ if !state.faults.strike_in(queue) => None,
            _ => state.faults.of_call(operation, number),
        }
    }

    pub(super) fn count(&self, operation: Operation, side: Side) -> u64 {
        self.counter(side)[operation as usize].load(Ordering::Relaxed)
    }

    pub(super) fn calls(&self, operation: Operation) -> u64 {
        self.calls[operation as usize].load(Ordering::Relaxed)
    }

    fn counter(&self, side: Side) -> &[AtomicU64; Operation::ALL.len()] {
        match side {
            Side::Before => &self.before,
            Side::After => &self.after,
        }
    }

    /// Says the seed, once, if a test is failing.
    pub(super) fn announce_while_panicking(&self) {
        if std::thread::panicking() && !self.is_announced.swap(true, Ordering::Relaxed) {
            // A lock that is poisoned by the failing test must not hide the seed.
            let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            eprintln!("faults were injected from seed {}", state.faults.seed);
        }
    }

    /// As long as the seed says, unless calm.
    pub(super) async fn slow(&self) {
        let number = self.waits.fetch_add(1, Ordering::Relaxed);
        let wait = {
            let state = self.state.lock().expect("never poisoned");
            if state.mode == Mode::Seeded { state.faults.wait(number) } else { Duration::ZERO }
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    pub(super) fn unavailable(&self, operation: Operation) -> Error {
        self.error(ErrorKind::Unavailable, operation).explained("injected before the call")
    }

    pub(super) fn unknown(&self, operation: Operation) -> Error {
        self.error(ErrorKind::OutcomeUnknown, operation).explained("injected after the call")
    }

    fn error(&self, kind: ErrorKind, operation: Operation) -> Error {
        Error::new(kind, self.name, operation.as_str())
    }

    /// A call that changes something: fails before it, or loses its answer.
    pub(super) async fn write<T>(
        &self,
        operation: Operation,
        queue: Option<&QueueName>,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.slow().await;
        let answer = match self.draw(operation, queue) {
            None => call.await,
            Some(Side::Before) => Err(self.unavailable(operation)),
            Some(Side::After) => {
                // An error of the inner driver says more than the injected one.
                call.await.and_then(|_| Err(self.unknown(operation)))
            }
        };
        self.slow().await;
        answer
    }

    /// A call that only looks: on either side nothing was applied.
    pub(super) async fn read<T>(
        &self,
        operation: Operation,
        queue: Option<&QueueName>,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.slow().await;
        match self.draw(operation, queue) {
            None => call.await,
            Some(_) => Err(self.unavailable(operation)),
        }
    }

    /// A call that answers each of `items` items: one fault for the whole batch.
    pub(super) async fn batch<T>(
        &self,
        operation: Operation,
        queue: Option<&QueueName>,
        items: usize,
        call: impl Future<Output = Vec<Result<T>>>,
    ) -> Vec<Result<T>> {
        if items == 0 {
            return call.await;
        }
        self.slow().await;
        let answers = match self.draw(operation, queue) {
            None => call.await,
            Some(Side::Before) => (0..items).map(|_| Err(self.unavailable(operation))).collect(),
            Some(Side::After) => {
                let answers = call.await.into_iter();
                answers.map(|answer| answer.and_then(|_| Err(self.unknown(operation)))).collect()
            }
        };
        self.slow().await;
        answers
    }
}
