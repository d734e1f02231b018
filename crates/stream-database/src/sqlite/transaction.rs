//! One transaction of the writer: its lock, its changes, its commit.

use std::time::{Duration, Instant};

use sqlx::SqliteConnection;
use tokio::time::sleep;

use super::{
    change::{Durability, Made, Parts, Session, Waiting},
    faults,
    file::Pen,
    writer::Shared,
};
use crate::fault::{Failure, Fault, Outcome};

/// Before the lock is asked for again that another process holds.
///
/// SQLite's own waiting sleeps ever longer, up to 100 ms, and finds no gap between the commits of a busy
/// process; this finds one of about a hundred gaps in 30 ms.
const PAUSE: Duration = Duration::from_millis(1);

/// A group of changes on its way.
pub(super) struct Writing<'t> {
    pub(super) shared: &'t Shared,
    /// Taken out while a transaction is open: who drops this future closes the connection, and so undoes it.
    pub(super) pen: &'t mut Option<Pen>,
    pub(super) group: Vec<Box<dyn Waiting>>,
}

/// What became of a group.
pub(super) enum Ended {
    /// It is committed.
    Stands,
    /// Nothing was done, because of one of them.
    Undone(Failure),
    /// Because of the file: nothing was done, or nobody knows.
    Failed(Failure),
}

/// What became of the changes of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum All {
    /// They wait for the commit.
    Kept,
    /// There was only one, and it was refused.
    Undone,
}

impl Writing<'_> {
    pub(super) async fn write(&mut self) -> Ended {
        if self.group.is_empty() {
            return Ended::Stands;
        }
        let mut pen = match self.pen().await {
            Ok(pen) => pen,
            Err(failure) => return Ended::Failed(failure),
        };
        let durability = self.group.iter().map(|asked| asked.durability()).max();
        let durability = durability.unwrap_or(Durability::Synced);
        let is_alone = self.group.len() == 1 && self.group[0].parts() == Parts::One;
        let ended = if is_alone {
            self.alone(&mut pen, durability).await
        } else {
            self.together(&mut pen, durability).await
        };
        match ended {
            Ended::Failed(failure) => Ended::Failed(failure),
            _ if !self.shared.file.is_there(&pen) => Ended::Failed(Failure::new(
                Fault::InDoubt,
                "the file was removed or replaced while it was written to",
            )),
            ended => {
                // Whatever failed otherwise is better begun anew, with another connection.
                *self.pen = Some(pen);
                ended
            }
        }
    }

    /// The connection; opened if there is none.
    async fn pen(&mut self) -> Outcome<Pen> {
        if let Some(pen) = self.pen.take() {
            return Ok(pen);
        }
        let begun = Instant::now();
        loop {
            match self.shared.file.pen().await {
                Err(failure) if self.may_try_again(&failure, begun) => sleep(PAUSE).await,
                opened => return opened.map_err(away),
            }
        }
    }

    /// One statement is a transaction by itself.
    async fn alone(&mut self, pen: &mut Pen, durability: Durability) -> Ended {
        let begun = Instant::now();
        let setting = pen.setting(durability);
        loop {
            let now = self.shared.clock.now();
            let mut session = Session { connection: pen, sql: &self.shared.sql, setting, now };
            match self.group[0].make(&mut session).await {
                Ok(_) => {
                    pen.is_set(durability);
                    return Ended::Stands;
                }
                Err(failure) if self.may_try_again(&failure, begun) => sleep(PAUSE).await,
                // Its commit may have been what failed.
                Err(failure) => return Ended::Failed(away(failure)),
            }
        }
    }

    async fn together(&mut self, pen: &mut Pen, durability: Durability) -> Ended {
        if let Err(failure) = self.begin(pen, durability).await {
            return Ended::Failed(failure);
        }
        match self.make(pen).await {
            Ok(All::Kept) => {}
            Ok(All::Undone) => return Ended::Stands,
            Err(failure) => {
                roll_back(pen).await;
                return Ended::Undone(Failure { fault: Fault::Away, ..failure });
            }
        }
        let Err(failure) = run(pen, "COMMIT").await else { return Ended::Stands };
        roll_back(pen).await;
        match failure.fault {
            Fault::InDoubt => Ended::Failed(failure),
            _ => Ended::Undone(away(failure)),
        }
    }

    /// Waits for the lock of the file.
    async fn begin(&mut self, pen: &mut Pen, durability: Durability) -> Outcome<()> {
        let begun = Instant::now();
        let begin = match pen.setting(durability) {
            None => "BEGIN IMMEDIATE",
            Some(Durability::Written) => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
            Some(Durability::Synced) => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
        };
        loop {
            match run(pen, begin).await {
                Err(failure) if self.may_try_again(&failure, begun) => sleep(PAUSE).await,
                answer => {
                    pen.is_set(durability);
                    return answer.map_err(away);
                }
            }
        }
    }

    /// Makes all changes; one that is refused keeps the others from nothing.
    async fn make(&mut self, pen: &mut Pen) -> Outcome<All> {
        let now = self.shared.clock.now();
        let is_alone = self.group.len() == 1;
        for asked in &mut self.group {
            let has_parts = asked.parts() == Parts::Several;
            if has_parts && !is_alone {
                run(pen, "SAVEPOINT change").await?;
            }
            let mut session = Session { connection: pen, sql: &self.shared.sql, setting: None, now };
            let made = asked.make(&mut session).await?;
            if made == Made::Refused && is_alone {
                roll_back(pen).await;
                return Ok(All::Undone);
            }
            if made == Made::Refused {
                ensure_open(pen).await?;
            }
            if has_parts && !is_alone {
                let end = if made == Made::Done { "RELEASE change" } else { "ROLLBACK TO change" };
                run(pen, end).await?;
            }
        }
        Ok(All::Kept)
    }

    fn may_try_again(&self, failure: &Failure, begun: Instant) -> bool {
        failure.fault == Fault::Conflict && begun.elapsed() < self.shared.file.patience
    }
}

impl Pen {
    /// What is to be set before a commit of this durability; connections of the program stay as they are.
    fn setting(&self, durability: Durability) -> Option<Durability> {
        match self {
            Self::Own(own) if own.durability != durability => Some(durability),
            Self::Own(_) | Self::Lent(_) => None,
        }
    }

    fn is_set(&mut self, durability: Durability) {
        if let Self::Own(own) = self {
            own.durability = durability;
        }
    }
}

/// What another process did not let through in time.
fn away(failure: Failure) -> Failure {
    match failure.fault {
        Fault::Conflict => Failure { fault: Fault::Away, ..failure },
        _ => failure,
    }
}

/// Fails if a refusal has ended the transaction, as a trigger of a user can: `RAISE(ROLLBACK, ..)`.
async fn ensure_open(connection: &mut SqliteConnection) -> Outcome<()> {
    // There is no transaction in a transaction.
    match run(connection, "BEGIN").await {
        Err(_) => Ok(()),
        Ok(()) => Err(Failure::new(Fault::Away, "a trigger has undone the transaction of several calls")),
    }
}

async fn roll_back(connection: &mut SqliteConnection) {
    // SQLite may have done it itself, and says so by an error.
    let _: Outcome<()> = run(connection, "ROLLBACK").await;
}

/// Runs a statement that gives and takes nothing.
async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Outcome<()> {
    sqlx::query(sql).execute(connection).await.map(drop).map_err(faults::running)
}
