//! The task that hears wakes of other processes, begun when somebody first waits.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{dialect::Dialect, locked::locked, wakes::Wakes};

/// Before listening is tried again; doubled each time, up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);
/// Who has listened for so long begins again with the shortest pause.
const SETTLED: Duration = Duration::from_secs(10);

/// At most one task, which ends with this value.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Listener {
    /// Begins to listen, unless that goes on already; again if the runtime of the task is gone.
    pub(crate) fn ensure(&self, dialect: &Arc<dyn Dialect>, wakes: &Arc<Wakes>) {
        let mut task = locked(&self.task);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(listen(Arc::clone(dialect), Arc::clone(wakes))));
        }
    }

    pub(crate) fn stop(&self) {
        if let Some(task) = &*locked(&self.task) {
            task.abort();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Holds the dialect and not the connection, so that it keeps nobody from being dropped.
async fn listen(dialect: Arc<dyn Dialect>, wakes: Arc<Wakes>) {
    let mut pause = PAUSE;
    loop {
        let begun = Instant::now();
        // Why it failed is told to whoever asks the same database for jobs.
        drop(dialect.listen(&wakes).await);
        pause = if begun.elapsed() > SETTLED { PAUSE } else { (pause * 2).min(PAUSE_LONGEST) };
        sleep(pause).await;
    }
}
