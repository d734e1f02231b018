//! A change of the file, as the writer sees it: what it needs, how it is made, how it is answered.

use async_trait::async_trait;
use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};
use tokio::sync::oneshot;

use super::statements::{Statement, Statements};
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

impl Durability {
    /// What sets it, outside of a transaction.
    pub(super) const fn pragma(self) -> &'static str {
        match self {
            // A later commit that waits takes those before it to the disk.
            Self::Written => "PRAGMA synchronous = NORMAL",
            Self::Synced => "PRAGMA synchronous = FULL",
        }
    }
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
    /// What the commit of a statement that is alone has to outlive, where the connection is not set to it.
    pub(super) setting: Option<Durability>,
    /// Microseconds of the clock, read once for all changes of a transaction, under its lock.
    pub(super) now: i64,
}

impl Session<'_> {
    /// The statement of a change that is one, perhaps alone.
    pub(super) fn query(&self, statement: &Statement) -> Query<'static, Sqlite, SqliteArguments> {
        statement.query_setting(self.setting)
    }
}

/// What became of a change that the file has no fault in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Done,
    /// Its last statement did nothing; those before it have to be undone.
    Refused,
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

    /// Makes it and keeps its answer; fails if the file is at fault, and not the change.
    async fn make(&mut self, session: &mut Session<'_>) -> Outcome<Made>;

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

    async fn make(&mut self, session: &mut Session<'_>) -> Outcome<Made> {
        let made = self.change.make(session).await;
        let outcome = match &made {
            Ok(_) => Made::Done,
            Err(failure) if is_of_the_file(failure) => return made.map(|_| Made::Done),
            Err(_) => Made::Refused,
        };
        self.made = Some(made);
        Ok(outcome)
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

/// Whether a failure is of the file and not of the change.
fn is_of_the_file(failure: &Failure) -> bool {
    match failure.fault {
        Fault::Away | Fault::Conflict | Fault::InDoubt => true,
        Fault::Refused | Fault::Config | Fault::Unexpected => false,
    }
}
