//! The one writer of a process: whatever waits when it is free goes into one transaction.
//!
//! A commit costs about as much as a hundred changes, so those who come while one is on its way share the
//! next. A task does it that lives as long as anybody waits; it ends with its runtime, and whoever comes
//! then begins another.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use super::{
    change::{Asked, Change, Waiting},
    clock::Clock,
    faults,
    file::{CLOSING, File, Pen},
    statements::Statements,
    transaction::{Ended, Writing},
};
use crate::{
    fault::{Failure, Fault, Outcome},
    locked::locked,
};

/// Changes of one transaction at most: others wait for the lock meanwhile.
const GROUP: usize = 256;
/// How often a close looks whether the writer has become free.
const GLANCE: Duration = Duration::from_millis(1);

/// Takes changes, and answers them when they stand.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) file: Arc<File>,
    pub(super) sql: Arc<Statements>,
    pub(super) clock: Arc<Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<dyn Waiting>>,
    /// The connection, while nobody writes.
    pen: Option<Pen>,
    is_writing: bool,
    is_closed: bool,
}

/// The task that writes.
struct Turn {
    shared: Arc<Shared>,
    pen: Option<Pen>,
    has_ended: bool,
}

impl Writer {
    pub(super) fn new(file: Arc<File>, sql: Arc<Statements>, clock: Arc<Clock>) -> Self {
        Self { shared: Arc::new(Shared { file, sql, clock, state: Mutex::default() }) }
    }

    /// Makes a change; it stands when this is answered.
    ///
    /// A future that is dropped takes its change along if that was not begun.
    pub(super) async fn change<C: Change>(&self, change: C) -> Outcome<C::Answer> {
        let (asked, answer) = Asked::for_writer(change);
        self.shared.ask(asked)?;
        let lost = |_| Err(Failure::new(Fault::InDoubt, "the runtime in which it was written has ended"));
        answer.await.unwrap_or_else(lost)
    }

    /// Closes the connection, once what was asked before is done.
    pub(super) async fn close(&self) {
        let free = async {
            loop {
                if let Some(pen) = self.shared.shut() {
                    return pen;
                }
                sleep(GLANCE).await;
            }
        };
        if let Ok(Some(pen)) = timeout(CLOSING, free).await {
            pen.close().await;
        }
    }
}

impl Shared {
    /// Takes no more changes; the connection, if there is one, once nobody writes.
    fn shut(&self) -> Option<Option<Pen>> {
        let mut state = locked(&self.state);
        state.is_closed = true;
        (!state.is_writing).then(|| state.pen.take())
    }

    fn ask(self: &Arc<Self>, asked: Box<dyn Waiting>) -> Outcome<()> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(Failure::new(Fault::Config, "call it in a runtime of tokio"));
        };
        let mut state = locked(&self.state);
        if state.is_closed {
            return Err(Failure::new(Fault::Away, "this connection was closed"));
        }
        state.waiting.push_back(asked);
        if !state.is_writing {
            state.is_writing = true;
            let turn = Turn { shared: Arc::clone(self), pen: state.pen.take(), has_ended: false };
            drop(state);
            runtime.spawn(turn.run());
        }
        Ok(())
    }
}

impl Turn {
    async fn run(mut self) {
        while let Some(group) = self.next_group() {
            let (group, ended) = self.write(group).await;
            match ended {
                Ended::Stands => group.into_iter().for_each(Waiting::answer),
                Ended::Undone(failure) if group.len() > 1 => {
                    drop(failure);
                    self.one_by_one(group).await;
                }
                Ended::Undone(failure) | Ended::Failed(failure) => {
                    for asked in group {
                        asked.fail(faults::again(&failure));
                    }
                }
            }
        }
    }

    /// What one of them has spoilt the others need not suffer.
    async fn one_by_one(&mut self, group: Vec<Box<dyn Waiting>>) {
        for asked in group {
            let (alone, ended) = self.write(vec![asked]).await;
            for asked in alone {
                match &ended {
                    Ended::Stands => asked.answer(),
                    Ended::Undone(failure) | Ended::Failed(failure) => asked.fail(faults::again(failure)),
                }
            }
        }
    }

    async fn write(&mut self, group: Vec<Box<dyn Waiting>>) -> (Vec<Box<dyn Waiting>>, Ended) {
        let mut writing = Writing { shared: &self.shared, pen: &mut self.pen, group };
        let ended = writing.write().await;
        (writing.group, ended)
    }

    /// Whatever waits now; ends the turn if nothing does.
    fn next_group(&mut self) -> Option<Vec<Box<dyn Waiting>>> {
        let mut state = locked(&self.shared.state);
        let count = state.waiting.len().min(GROUP);
        let mut group: Vec<_> = state.waiting.drain(..count).collect();
        group.retain(|asked| asked.is_awaited());
        if group.is_empty() && state.waiting.is_empty() {
            state.is_writing = false;
            state.pen = self.pen.take().and_then(Pen::kept);
            self.has_ended = true;
            return None;
        }
        Some(group)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // The runtime has ended, or the task has panicked: those who wait hear of it by their channels.
        if !self.has_ended {
            let mut state = locked(&self.shared.state);
            state.is_writing = false;
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            drop(waiting);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("file", &self.file).finish_non_exhaustive()
    }
}
