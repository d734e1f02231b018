//! A change of the file, as the writer sees it: what it needs, how it is made, how it is answered.

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::{faults, statements::Statements};
use crate::fault::{Failure, Fault, Outcome};

/// One step of the dialect that writes. It may be made more than once, each time after all was undone.
#[async_trait]
pub(super) trait Change: Send + Sync + 'static {
    type Answer: Send + Sync + 'static;

    fn durability(&self) -> Durability {
        Durability::Synced
    }

    fn parts(&self) -> Parts {
        Parts::One
    }

    async fn make(&self, session: &mut Session<'_>) -> Outcome<Self::Answer>;
}

/// What its commit has to outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    /// The end of any process.
    Written,
    /// The end of the machine's power.
    Synced,
}

/// Whether a change is one statement, which is undone as a whole by itself when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    One,
    Several,
}

/// The connection that writes, while it is the turn of a change.
pub(super) struct Session<'c> {
    pub(super) connection: &'c mut SqliteConnection,
    pub(super) sql: &'c Statements,
    /// Microseconds of the clock, read once for all changes of a transaction, under its lock.
    pub(super) now: i64,
}

/// A change and who waits for it.
pub(super) struct Asked<C: Change> {
    change: C,
    made: Option<Outcome<C::Answer>>,
    reply: oneshot::Sender<Outcome<C::Answer>>,
}

/// A change of any kind that waits for the writer.
#[async_trait]
pub(super) trait Waiting: Send {
    /// Whether somebody still waits for it.
    fn is_awaited(&self) -> bool;

    fn durability(&self) -> Durability;

    fn parts(&self) -> Parts;

    /// Makes it and keeps its answer; an error has spoilt the whole transaction.
    async fn make(&mut self, session: &mut Session<'_>) -> Outcome<()>;

    /// Gives the answer that was kept: the transaction stands.
    fn answer(self: Box<Self>);

    /// Nothing of it stands, or nobody knows.
    fn fail(self: Box<Self>, failure: Failure);
}

impl<C: Change> Asked<C> {
    pub(super) fn for_writer(change: C) -> (Box<dyn Waiting>, oneshot::Receiver<Outcome<C::Answer>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { change, made: None, reply }), answer)
    }

    /// Makes a change of several parts so that a part which fails undoes those before it.
    async fn make_in_parts(&self, session: &mut Session<'_>) -> Outcome<C::Answer> {
        run(session.connection, "SAVEPOINT change").await?;
        let made = self.change.make(session).await;
        let is_spoilt = made.as_ref().is_err_and(spoils);
        if made.is_err() && !is_spoilt {
            run(session.connection, "ROLLBACK TO change").await?;
        }
        if !is_spoilt {
            run(session.connection, "RELEASE change").await?;
        }
        made
    }
}

#[async_trait]
impl<C: Change> Waiting for Asked<C> {
    fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    fn durability(&self) -> Durability {
        self.change.durability()
    }

    fn parts(&self) -> Parts {
        self.change.parts()
    }

    async fn make(&mut self, session: &mut Session<'_>) -> Outcome<()> {
        let made = match self.change.parts() {
            Parts::One => self.change.make(session).await,
            Parts::Several => self.make_in_parts(session).await,
        };
        match made {
            Err(failure) if spoils(&failure) => Err(failure),
            made => {
                self.made = Some(made);
                Ok(())
            }
        }
    }

    fn answer(self: Box<Self>) {
        let lost = || Err(Failure::new(Fault::Unexpected, "the change was not made"));
        // Who has gone meanwhile does not need it.
        let _ = self.reply.send(self.made.unwrap_or_else(lost));
    }

    fn fail(self: Box<Self>, failure: Failure) {
        let _ = self.reply.send(Err(failure));
    }
}

/// Whether a failure is of the file and not of the change: SQLite may have undone the whole transaction.
fn spoils(failure: &Failure) -> bool {
    match failure.fault {
        Fault::Away | Fault::Conflict | Fault::InDoubt => true,
        Fault::Refused | Fault::Config | Fault::Unexpected => false,
    }
}

/// Runs a statement that gives and takes nothing.
pub(super) async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Outcome<()> {
    sqlx::query(sql).execute(connection).await.map(drop).map_err(faults::running)
}
