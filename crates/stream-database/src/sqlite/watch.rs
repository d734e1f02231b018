//! Wakes from other processes: SQLite has none, so the file is asked whether it has changed.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sqlx::{Row as _, SqliteConnection};
use tokio::time::sleep;

use super::{clock::Clock, faults::running, file::File, jobs, statements::Statements};
use crate::{
    fault::{Failure, Fault, Outcome},
    row::Next,
    wakes::Wakes,
};

/// How often the file is asked: what a push by another process waits for at most.
///
/// A question takes about 25 µs, and so a thousandth of a core.
const EVERY: Duration = Duration::from_millis(20);
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
        self.wakes.all();
        loop {
            sleep(EVERY).await;
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
