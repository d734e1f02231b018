//! The seam between the driver and one database: what each dialect answers, sentence by sentence.
//!
//! Above the seam, shared by all: chunks, repetitions, deadlines, receipts, envelopes, the two counts as
//! the contract names them, errors, waiting. Below it: SQL, connections, and what only that database does.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use stream_core::{Depth, Finding, JobId, Pushed, RateLimit};

use crate::{
    DatabaseTransaction,
    completions::Ticket,
    fault::Outcome,
    migration::Step,
    row::{Burial, Burials, Fenced, Key, Letter, Limited, Moved, NewRow, Next, PutBack, Row, Take},
    wakes::Wakes,
};

/// One database, as the driver asks it.
///
/// # What holds for every method
/// *Atomic.* A call is one step: a process that dies in it, a dropped future or a lost connection leaves
/// it done or not done. It holds one connection at a time and no lock between two calls.
///
/// *Time.* The database's clock decides what is due. It is read once for a step, after the locks that the
/// step waits for. Durations are bound as whole microseconds, rounded up by [`micros`].
///
/// *Queues.* A queue's name comes checked: 1 to 48 of `A-Z a-z 0-9 _ -`. Names that differ in case are
/// different queues: compare bytes. A job is found by queue and id together, never by one of them.
///
/// *Answers.* Where items go in, answer *i* belongs to item *i*. Slices are never empty, and never larger
/// than [`Dialect::limits`] allows. No id is twice in one `insert`, no [`Key`] twice in one other call.
///
/// *Errors.* [`Fault`](crate::fault::Fault) says what is known of the effect. The caller repeats a
/// `Conflict` (deadlock, serialisation, lock timeout) and gives each call its deadline: a dialect does
/// neither. It does not log, does not look into payloads, and wakes nobody in its own process.
///
/// *Other processes.* Where the database can carry a wake, `insert`, `put_back` and `revive` tell the other
/// processes that the queue may have work, also when it is not due yet.
///
/// *Locks.* Only `insert`, `finish`, `put_back`, `bury` and `migrate` may wait for a row that another
/// transaction has locked, and `reserve_limited` for the queue's log. All others pass over locked rows. A
/// database that locks its file as a whole waits for it a bounded time, and answers `Away` then.
///
/// *Transactions of users.* Each statement stands in a function of its own that takes a connection, so
/// that a push inside the caller's transaction is the same statement on the caller's connection. The
/// dialect makes [`DatabaseTransaction`] by `From` of its own kind, and finds the connection in it.
#[async_trait]
pub(crate) trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// A short name for errors, such as `postgres`.
    fn name(&self) -> &'static str;

    /// What one statement takes, and the largest envelope.
    fn limits(&self) -> Limits;

    /// How often waiting programs look, where nothing wakes them.
    fn pace(&self) -> Pace;

    /// All migrations, rendered for the configured names, in order; the first has version 1.
    fn steps(&self) -> &[Step];

    /// Stores rows, ready `delay` from now; says of each whether it is new.
    ///
    /// A row whose id the queue holds, waiting, reserved or dead, is not stored; nor is one whose unique
    /// key another row of the queue's jobs holds, be that row in the table or earlier in this call. Such
    /// rows are answered false and fail no other. `attempts` and `lost` begin at 0. Rows are ordered:
    /// within one priority a later row of a call, and a row of a later call of the same producer, is
    /// taken later. An acknowledged row is as durable as the database makes a commit.
    async fn insert(&self, queue: &str, rows: &[NewRow<'_>]) -> Outcome<Vec<bool>>;

    /// Says why rows were not stored: `AlreadyStored` where the queue holds the id, waiting, reserved or
    /// dead, else `Duplicate` with the job that holds the unique key, else none.
    ///
    /// It is asked about the rows that `insert` answered false. None means that what was in the way has
    /// gone since; the caller inserts the row again.
    async fn find(&self, queue: &str, rows: &[NewRow<'_>]) -> Outcome<Vec<Option<Pushed>>>;

    /// As `insert`, in a transaction of the program; its commit tells all processes, this one among them.
    ///
    /// What fails is undone to a savepoint, so that the transaction can go on. `Config` before anything is
    /// sent if it is of another database.
    async fn insert_in(
        &self,
        transaction: &mut DatabaseTransaction<'_>,
        queue: &str,
        rows: &[NewRow<'_>],
    ) -> Outcome<Vec<bool>>;

    /// As `find`, in a transaction of the program, seeing what that has done.
    async fn find_in(
        &self,
        transaction: &mut DatabaseTransaction<'_>,
        queue: &str,
        rows: &[NewRow<'_>],
    ) -> Outcome<Vec<Option<Pushed>>>;

    /// As `finish` for one delivery, in a transaction of the program, with a savepoint as `insert_in`.
    ///
    /// None if the delivery is over, else what `have_committed` can be asked by.
    async fn finish_in(
        &self,
        transaction: &mut DatabaseTransaction<'_>,
        queue: &str,
        key: Key,
    ) -> Outcome<Option<Ticket>>;

    /// Of each ticket, whether its transaction was committed.
    ///
    /// It is asked when the row is gone: a database that cannot tell answers true.
    async fn have_committed(&self, tickets: &[Ticket]) -> Outcome<Vec<bool>>;

    /// Takes up to `take.max_jobs` rows that are due, and leases them; what is locked is passed over.
    ///
    /// The most urgent priority first, within it the earliest due time, within that the place in their
    /// push; returned in that order. A row is due when `available_at` has passed: a waiting row's time,
    /// or a reserved row's lease end. Taking sets `token`, `reserved_at`, and `available_at` to the end of
    /// the lease; a row that was reserved before gets `lost` one more. Nothing else is changed: a lease
    /// that has ended stays as it is until its row is returned here. The cost depends on the rows that are
    /// returned, not on how many wait, are delayed or are less urgent. Its commit need not be durable:
    /// if a crash of the server undoes it, the rows are taken again.
    async fn reserve(&self, queue: &str, take: Take) -> Outcome<Vec<Row>>;

    /// As `reserve`, but takes no more rows than the limit permits, and notes how many it took.
    ///
    /// In one transaction: lock the queue's row of the table of limits, making it if there is none; read
    /// the clock after the lock is held; read the log of takes with
    /// [`TakeLog::read`](crate::take_log::TakeLog::read); take at most `log.permits(..)` rows; if any were
    /// taken `log.note(..)` them and write the log back; answer with `log.wait(..)`.
    async fn reserve_limited(&self, queue: &str, take: Take, limit: RateLimit) -> Outcome<Limited>;

    /// When each queue's next row is due, ended leases included; takes and locks nothing.
    ///
    /// The cost depends on the number of queues, not of rows.
    async fn probe(&self, queues: &[&str]) -> Outcome<Vec<Next>>;

    /// Deletes the rows of deliveries that are current: those whose key's token stands in the row.
    ///
    /// A token is good after its lease's end until the row is taken again. `Over` for any other.
    async fn finish(&self, queue: &str, keys: &[Key]) -> Outcome<Vec<Fenced>>;

    /// Makes the rows of current deliveries wait: due `after` from now, without a token.
    ///
    /// With an error it was a failure: `attempts` one more, the error kept. Without one it counts nothing
    /// and keeps the error that is there.
    async fn put_back(&self, queue: &str, rows: &[PutBack<'_>]) -> Outcome<Vec<Fenced>>;

    /// Moves the rows of current deliveries into the table of dead letters, each with its error.
    ///
    /// The payload is not touched; attempts and lost are kept. Each burial gets a number larger than all
    /// before. If the letter cannot be written the row stays.
    async fn bury(&self, queue: &str, burials: &[Burial<'_>]) -> Outcome<Vec<Fenced>>;

    /// Makes the leases of current deliveries end `lease` from now.
    ///
    /// `Locked`, at once, for a row that another transaction has locked, and `Over` only for a token that
    /// does not stand in the committed row. Its commit need not be durable.
    async fn extend(&self, queue: &str, keys: &[Key], lease: Duration) -> Outcome<Vec<Fenced>>;

    /// Counts ready, delayed and reserved rows and dead letters, at one moment. Ended leases are ready.
    async fn depth(&self, queue: &str) -> Outcome<Depth>;

    /// Deletes up to `max` rows that wait, ended leases among them; says how many.
    ///
    /// Fewer than `max` means that there are no more. A running lease is left alone.
    async fn clear(&self, queue: &str, max: usize) -> Outcome<u64>;

    /// Up to `limit` letters with a larger number than `after`, in the order of their numbers.
    async fn letters(&self, queue: &str, after: i64, limit: usize) -> Outcome<Vec<Letter>>;

    /// The largest number of a letter of the queue; none if it has no letters.
    async fn last_burial(&self, queue: &str) -> Outcome<Option<i64>>;

    /// Makes letters jobs again, at most `burials.limit` in the order of their numbers, in one step.
    ///
    /// Each becomes a row that is due now with attempts 0, lost 0, no token, and its error as the last
    /// error. A letter whose id or unique key a job of the queue holds stays: insert first, then delete
    /// only what was inserted.
    async fn revive(&self, queue: &str, burials: Burials) -> Outcome<Moved>;

    /// Deletes letters, at most `burials.limit` in the order of their numbers, in one step.
    async fn remove(&self, queue: &str, burials: Burials) -> Outcome<Moved>;

    /// How many letters there are.
    async fn count_letters(&self, queue: &str) -> Outcome<u64>;

    /// The version that the schema has; 0 if the table of versions is not there.
    async fn version(&self) -> Outcome<u32>;

    /// Brings the schema from its version to the last of [`Dialect::steps`]; says which version it had.
    ///
    /// Many processes may call it at once: one works, the others wait for it and find nothing to do. A step
    /// that was begun by a process which died is undone, or can be repeated.
    async fn migrate(&self) -> Outcome<u32>;

    /// What the owner of this database should know: durability, version, settings, permissions.
    ///
    /// It does not judge the schema's version, which the driver does for all.
    async fn inspect(&self) -> Outcome<Vec<Finding>>;

    /// Carries wakes from other processes to `wakes` until that fails; never returns otherwise.
    ///
    /// Called in a task of its own, and again a while after it failed. It calls `wakes.all()` once
    /// whatever happens from then on will be heard, since something may have happened before. A dialect
    /// that hears nothing of other processes waits for ever: its [`Pace`] does the work.
    async fn listen(&self, wakes: &Wakes) -> crate::fault::Failure;

    /// Ends the connections that the driver opened; those of a pool that the program gave stay.
    async fn close(&self);
}

/// What one statement of a dialect takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Most rows, keys or queues of one call.
    pub(crate) rows: usize,
    /// Most bytes of payloads in one `insert`; a single larger row is a call of its own.
    pub(crate) bytes: usize,
    /// The largest envelope.
    pub(crate) envelope_bytes_max: usize,
}

/// How often a program that waits looks at the store: first after `shortest`, then ever more rarely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// After a hit, a wake, or a push of this process.
    pub(crate) shortest: Duration,
    /// When nothing has happened for long; doubled from `shortest`.
    pub(crate) longest: Duration,
}

/// Whole microseconds, rounded up: a wait is never shorter than what was asked for.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(i64::MAX)
}

/// Why a row was not stored, from what `find` has read.
pub(crate) fn found(id: JobId, is_held: bool, holder: Option<JobId>) -> Option<Pushed> {
    if is_held { Some(Pushed::AlreadyStored(id)) } else { holder.map(Pushed::Duplicate) }
}
