//! Connections for calls: the driver's own, or borrowed from a pool of the program.
//!
//! A pool of sqlx asks each connection that comes back whether it still works, which is a second round trip
//! for each call. It also takes back a connection whose call was given up, with the answer under way.

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, Database, pool::PoolConnection};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use crate::{
    DatabaseConfig,
    fault::{Failure, Fault, Outcome},
    locked::locked,
};

/// A connection that lay idle for longer is asked whether it still works.
const TRUSTED: Duration = Duration::from_secs(1);
/// A connection that lay idle for longer is closed.
const IDLE_LONGEST: Duration = Duration::from_secs(10 * 60);
/// An older connection is closed when it is given back, so that a moved server is found again.
const OLDEST: Duration = Duration::from_secs(30 * 60);
/// How long a close waits for calls that are on their way.
const CLOSING: Duration = Duration::from_secs(5);

type OptionsOf<DB> = <<DB as Database>::Connection as Connection>::Options;
/// What is sent on a new connection of the driver's own, before it is lent.
pub(crate) type Greeting<DB> = for<'c> fn(&'c mut <DB as Database>::Connection) -> Greeted<'c>;
pub(crate) type Greeted<'c> = Pin<Box<dyn Future<Output = sqlx::Result<()>> + Send + 'c>>;

/// Where connections come from.
pub(crate) struct Pool<DB: Database> {
    source: Source<DB>,
    /// What an error says that comes before anything is sent.
    judge: fn(sqlx::Error) -> Failure,
}

enum Source<DB: Database> {
    Own(Arc<Own<DB>>),
    Programs(sqlx::Pool<DB>),
}

struct Own<DB: Database> {
    options: OptionsOf<DB>,
    greeting: Option<Greeting<DB>>,
    size: u32,
    connect_timeout: Duration,
    /// One permit for each connection that may still be open.
    free: Arc<Semaphore>,
    state: Mutex<State<DB>>,
}

struct State<DB: Database> {
    /// The last to come back is the first to go: the others may come to their end.
    idle: Vec<Idle<DB>>,
    /// Since one was lost, those that came back earlier are no longer trusted.
    doubted_at: Option<Instant>,
}

struct Idle<DB: Database> {
    connection: DB::Connection,
    opened_at: Instant,
    idle_since: Instant,
}

/// A connection for one call. It is closed when dropped, unless it is given back.
pub(crate) struct Borrowed<DB: Database> {
    lent: Option<Lent<DB>>,
}

enum Lent<DB: Database> {
    Own { connection: DB::Connection, opened_at: Instant, pool: Arc<Own<DB>>, permit: OwnedSemaphorePermit },
    Programs(PoolConnection<DB>),
}

const LENT: &str = "it is lent until it is given back, which takes it";

impl<DB: Database> Pool<DB> {
    /// A pool of the driver's own, empty.
    pub(crate) fn own(
        options: OptionsOf<DB>,
        greeting: Option<Greeting<DB>>,
        config: &DatabaseConfig,
        judge: fn(sqlx::Error) -> Failure,
    ) -> Self {
        let own = Own {
            options,
            greeting,
            size: config.pool_size,
            connect_timeout: config.connect_timeout,
            free: Arc::new(Semaphore::new(config.pool_size as usize)),
            state: Mutex::new(State { idle: Vec::new(), doubted_at: None }),
        };
        Self { source: Source::Own(Arc::new(own)), judge }
    }

    pub(crate) fn programs(pool: sqlx::Pool<DB>, judge: fn(sqlx::Error) -> Failure) -> Self {
        Self { source: Source::Programs(pool), judge }
    }

    /// How the connections are made: for one that is not for calls.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn options(&self) -> OptionsOf<DB> {
        match &self.source {
            Source::Own(own) => own.options.clone(),
            Source::Programs(pool) => (*pool.connect_options()).clone(),
        }
    }

    /// Borrows a connection; its failure says that nothing was sent.
    pub(crate) async fn borrow(&self) -> Outcome<Borrowed<DB>> {
        let lent = match &self.source {
            Source::Programs(pool) => Lent::Programs(pool.acquire().await.map_err(self.judge)?),
            Source::Own(own) => {
                let lent = timeout(own.connect_timeout, own.borrow()).await;
                let none = |_| sqlx::Error::PoolTimedOut;
                lent.map_err(none).and_then(|lent| lent).map_err(self.judge)?
            }
        };
        Ok(Borrowed { lent: Some(lent) })
    }

    /// Takes one step on a connection.
    pub(crate) async fn with<T>(
        &self,
        step: impl AsyncFnOnce(&mut DB::Connection) -> Outcome<T>,
    ) -> Outcome<T> {
        let mut connection = self.borrow().await?;
        let outcome = step(&mut connection).await;
        connection.give_back(outcome)
    }

    /// Closes a pool of the driver's own; calls that do not end are left to their deadlines.
    pub(crate) async fn close(&self) {
        if let Source::Own(own) = &self.source {
            own.close().await;
        }
    }
}

impl<DB: Database> Own<DB> {
    async fn borrow(self: &Arc<Self>) -> sqlx::Result<Lent<DB>> {
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let lend =
            |connection, opened_at| Lent::Own { connection, opened_at, pool: Arc::clone(self), permit };
        loop {
            let now = Instant::now();
            let (idle, is_trusted) = {
                let mut state = self.state();
                let Some(idle) = state.idle.pop() else { break };
                let is_doubted = state.doubted_at.is_some_and(|at| idle.idle_since <= at);
                let is_trusted = !is_doubted && now < idle.idle_since + TRUSTED;
                (idle, is_trusted)
            };
            let Idle { mut connection, opened_at, idle_since } = idle;
            if is_trusted || (now < idle_since + IDLE_LONGEST && connection.ping().await.is_ok()) {
                return Ok(lend(connection, opened_at));
            }
        }
        let mut connection = self.options.connect().await?;
        if let Some(greeting) = self.greeting {
            greeting(&mut connection).await?;
        }
        Ok(lend(connection, Instant::now()))
    }

    fn give_back(&self, connection: DB::Connection, opened_at: Instant) {
        let now = Instant::now();
        if self.free.is_closed() || opened_at + OLDEST < now {
            return;
        }
        let mut state = self.state();
        // The oldest lie at the bottom.
        let old = state.idle.iter().take_while(|idle| idle.idle_since + IDLE_LONGEST < now).count();
        let old: Vec<_> = state.idle.drain(..old).collect();
        state.idle.push(Idle { connection, opened_at, idle_since: now });
        drop(state);
        drop(old);
    }

    async fn close(&self) {
        // Those that are lent come back, unless their calls hang, or it was closed before.
        let all = timeout(CLOSING, self.free.acquire_many(self.size)).await;
        self.free.close();
        drop(all);
        let idle = std::mem::take(&mut self.state().idle);
        for Idle { connection, .. } in idle {
            let _: Result<sqlx::Result<()>, _> = timeout(CLOSING, connection.close()).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State<DB>> {
        locked(&self.state)
    }
}

impl<DB: Database> Borrowed<DB> {
    /// Gives the connection back if it has nothing under way, else closes it.
    pub(crate) fn give_back<T>(mut self, outcome: Outcome<T>) -> Outcome<T> {
        // What the database has refused, it has answered.
        let is_whole = match &outcome {
            Ok(_) => true,
            Err(failure) => matches!(failure.fault, Fault::Conflict | Fault::Refused | Fault::Config),
        };
        if is_whole && let Some(lent) = self.lent.take() {
            match lent {
                Lent::Own { connection, opened_at, pool, permit } => {
                    pool.give_back(connection, opened_at);
                    drop(permit);
                }
                Lent::Programs(connection) => drop(connection),
            }
        }
        outcome
    }
}

impl<DB: Database> Drop for Borrowed<DB> {
    fn drop(&mut self) {
        match self.lent.take() {
            Some(Lent::Own { connection, pool, permit, .. }) => {
                pool.state().doubted_at = Some(Instant::now());
                drop(connection);
                drop(permit);
            }
            Some(Lent::Programs(connection)) => drop(connection.detach()),
            None => {}
        }
    }
}

impl<DB: Database> Deref for Borrowed<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        match self.lent.as_ref().expect(LENT) {
            Lent::Own { connection, .. } => connection,
            Lent::Programs(connection) => connection,
        }
    }
}

impl<DB: Database> DerefMut for Borrowed<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        match self.lent.as_mut().expect(LENT) {
            Lent::Own { connection, .. } => connection,
            Lent::Programs(connection) => connection,
        }
    }
}
