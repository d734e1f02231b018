//! Wakes from other processes: SQLite has none, so the file is asked whether it has changed.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use sqlx::{Row as _, SqliteConnection};
use tokio::time::sleep;

use super::{clock::Clock, faults::running, file::File, jobs, statements::Statements};
use crate::{
    fault::{Failure, Fault, Outcome},
    row::Next,
    wakes::Wakes,
};

/// How often the file is looked at: what a push by another process waits for at most.
const EVERY: Duration = Duration::from_millis(5);
/// A file that was written to so recently may be written to again and bear the same time: the system's clock for
/// files ticks every few milliseconds.
const RECENT: Duration = Duration::from_millis(100);
/// Queues of one look.
const QUEUES: usize = 1_000;

/// Looks at queues when somebody has changed the file.
pub(super) struct Watch<'w> {
    pub(super) file: &'w File,
    pub(super) sql: &'w Statements,
    pub(super) clock: &'w Clock,
    pub(super) wakes: &'w Wakes,
}

impl Watch<'_> {
    /// Ends when the file cannot be read.
    pub(super) async fn run(&self) -> Failure {
        let (Ok(failure) | Err(failure)) = self.watch().await;
        failure
    }

    async fn watch(&self) -> Outcome<Failure> {
        let mut connection = self.file.open().await?;
        let file = self.file.id();
        let mut seen = version(&mut connection).await?;
        let mut due = HashMap::new();
        let mut looks = self.file.looks();
        self.wakes.all();
        loop {
            sleep(EVERY).await;
            // This asks the system alone, which is a tenth of the cost of asking SQLite.
            let now = self.file.looks();
            if now == looks && now.is_some_and(Looks::are_old) {
                continue;
            }
            looks = now;
            if self.file.id() != file {
                return Err(Failure::new(Fault::Away, "the file was removed or replaced"));
            }
            let found = version(&mut connection).await?;
            if found != seen {
                self.look(&mut connection, &mut due).await?;
                seen = found;
            }
        }
    }

    /// Wakes those whose queue has work, or will have it sooner than was known.
    async fn look(
        &self,
        connection: &mut SqliteConnection,
        due: &mut HashMap<String, Instant>,
    ) -> Outcome<()> {
        let queues = self.wakes.queues();
        due.retain(|queue, _| queues.contains(queue));
        for chunk in queues.chunks(QUEUES) {
            let names: Vec<&str> = chunk.iter().map(String::as_str).collect();
            let found = jobs::probe(connection, self.sql, &names, self.clock.now()).await?;
            for (queue, next) in chunk.iter().zip(found) {
                if is_news(due, queue, next) {
                    self.wakes.queue(queue);
                }
            }
        }
        Ok(())
    }
}

/// When a file and its log were last written to, and how long they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looks(pub(super) [Option<(SystemTime, u64)>; 2]);

impl Looks {
    fn are_old(self) -> bool {
        let is_old = |(written, _): (SystemTime, u64)| written.elapsed().is_ok_and(|since| since > RECENT);
        self.0.into_iter().flatten().all(is_old)
    }
}

/// Whether somebody who waits at the queue knows less than this; notes it.
fn is_news(due: &mut HashMap<String, Instant>, queue: &str, next: Next) -> bool {
    match next {
        Next::Now => {
            due.remove(queue);
            true
        }
        Next::Never => {
            due.remove(queue);
            false
        }
        Next::In(wait) => {
            let at = Instant::now() + wait;
            // The same time is computed a little differently each time.
            let is_known = due.get(queue).is_some_and(|known| *known <= at + Duration::from_millis(1));
            due.insert(queue.to_owned(), at);
            !is_known
        }
    }
}

/// A number that is another one after each commit of another connection.
async fn version(connection: &mut SqliteConnection) -> Outcome<i64> {
    let row = sqlx::query("PRAGMA data_version").fetch_one(connection).await.map_err(running)?;
    row.try_get(0).map_err(running)
}
