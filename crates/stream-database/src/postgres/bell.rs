//! Wakes between processes: who tells, how often, and who listens.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use sqlx::{
    Executor, Postgres as Pg,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until, timeout},
};

use super::faults;
use crate::{
    Notifications,
    fault::{Failure, Fault, Outcome},
    locked::locked,
    pool::Pool,
    wakes::Wakes,
};

/// A queue is told of at most once in this time by one process: commits that notify wait for each other.
const PAUSE: Duration = Duration::from_millis(8);
/// A promise to tell later that is older than this was forgotten with its runtime.
const FORGOTTEN: Duration = Duration::from_secs(1);
/// When nothing was heard for so long, the connection is asked whether its other end is there.
const SILENCE: Duration = Duration::from_secs(5);
/// More queues than this are forgotten when they have been quiet.
const QUEUES: usize = 1_024;

/// Tells other processes of work, through one channel for all queues of a table.
pub(super) struct Bell {
    shared: Arc<Shared>,
    notifications: Notifications,
}

struct Shared {
    pool: Arc<Pool<Pg>>,
    channel: String,
    queues: Mutex<HashMap<String, Ring>>,
}

/// When a queue was last told of.
#[derive(Debug, Clone, Copy)]
struct Ring {
    at: Instant,
    /// It will be told of once more, for those that were quiet since.
    is_due: bool,
}

/// A statement that makes work, and whether it is the one to tell of it.
///
/// If it is not, the queue is told of when this is dropped, or a little later: after the statement, so
/// that who is woken finds the work, and even if its future was dropped.
pub(super) struct Told {
    shared: Arc<Shared>,
    queue: String,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Tells,
    IsToldOf,
    Nothing,
}

impl Bell {
    pub(super) fn new(pool: Arc<Pool<Pg>>, table: &str, notifications: Notifications) -> Self {
        let shared = Shared { pool, channel: channel(table), queues: Mutex::default() };
        Self { shared: Arc::new(shared), notifications }
    }

    /// Before a statement that may make work.
    pub(super) fn begin(&self, queue: &str) -> Told {
        let part = match self.notifications {
            Notifications::Off => Part::Nothing,
            Notifications::On if self.shared.may_ring(queue) => Part::Tells,
            Notifications::On => Part::IsToldOf,
        };
        Told { shared: Arc::clone(&self.shared), queue: queue.to_owned(), part }
    }

    /// The channel for a transaction of the program, which tells in any case: nobody sees its commit.
    pub(super) fn channel(&self) -> Option<&str> {
        (self.notifications == Notifications::On).then_some(&self.shared.channel)
    }

    /// Hears other processes, on a connection of its own, until that is lost.
    pub(super) async fn listen(&self, wakes: &Wakes, connect_timeout: Duration) -> Failure {
        if self.notifications == Notifications::Off {
            std::future::pending::<()>().await;
        }
        match self.heard(wakes, connect_timeout).await {
            Err(error) => faults::running(error),
            Ok(()) => Failure::new(Fault::Away, "the connection that listens was lost"),
        }
    }

    async fn heard(&self, wakes: &Wakes, connect_timeout: Duration) -> sqlx::Result<()> {
        let options = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(connect_timeout)
            .max_lifetime(None)
            .idle_timeout(None);
        // Not from the pool for calls, which may have no connection to spare.
        let pool = options.connect_lazy_with(self.shared.pool.options());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        answered(connect_timeout, listener.listen(&self.shared.channel)).await?;
        wakes.all();
        loop {
            match timeout(SILENCE, listener.try_recv()).await {
                Ok(told) => match told? {
                    Some(told) => wakes.queue(told.payload()),
                    None => return Ok(()),
                },
                // A connection whose other end is gone is as silent as one on which nothing happens.
                Err(_) => {
                    answered(connect_timeout, listener.execute("SELECT 1")).await?;
                }
            }
        }
    }
}

impl Told {
    /// The channel that the statement is to tell on, if it is the one.
    pub(super) fn channel(&self) -> Option<&str> {
        (self.part == Part::Tells).then_some(&self.shared.channel)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // Without a runtime nobody is told; who waits looks once in a while.
        if self.part == Part::IsToldOf
            && let Ok(runtime) = Handle::try_current()
            && let Some(at) = self.shared.promise(&self.queue)
        {
            runtime.spawn(Arc::clone(&self.shared).tell_at(at, std::mem::take(&mut self.queue)));
        }
    }
}

impl Shared {
    /// Whether a queue may be told of now; who is answered yes does it.
    fn may_ring(&self, queue: &str) -> bool {
        let now = Instant::now();
        let mut queues = self.queues();
        match queues.get_mut(queue) {
            Some(ring) if now < ring.at + if ring.is_due { FORGOTTEN } else { PAUSE } => false,
            Some(ring) => {
                *ring = Ring { at: now, is_due: false };
                true
            }
            None => {
                if queues.len() >= QUEUES {
                    queues.retain(|_, ring| ring.is_due || now < ring.at + PAUSE);
                }
                queues.insert(queue.to_owned(), Ring { at: now, is_due: false });
                true
            }
        }
    }

    /// When the queue is to be told of, if nobody has promised that yet.
    fn promise(&self, queue: &str) -> Option<Instant> {
        let mut queues = self.queues();
        let ring = queues.entry(queue.to_owned()).or_insert(Ring { at: Instant::now(), is_due: false });
        (!std::mem::replace(&mut ring.is_due, true)).then_some(ring.at + PAUSE)
    }

    async fn tell_at(self: Arc<Self>, at: Instant, queue: String) {
        sleep_until(at).await;
        // From now on a statement that makes work tells of it itself: what this one says may be too early.
        self.queues().insert(queue.clone(), Ring { at: Instant::now(), is_due: false });
        let tell = sqlx::query("SELECT pg_notify($1, $2)").bind(&self.channel).bind(&queue);
        let told = self.pool.with(async |connection| tell.execute(connection).await.map_err(faults::running));
        // If it fails, the pushes fail as well, and who waits looks once in a while.
        let _: Outcome<_> = told.await;
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, Ring>> {
        locked(&self.queues)
    }
}

async fn answered<T>(within: Duration, call: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(within, call).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// The channel of a table: at most 63 bytes, whatever its name.
fn channel(table: &str) -> String {
    // FNV-1a: the same in every process and every version.
    let hash = table.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("stream_{hash:016x}")
}
