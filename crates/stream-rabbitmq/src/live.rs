//! One connection to the broker, from its making to its end.

use std::{
    collections::HashSet,
    future::Future,
    ops::Deref,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lapin::{Channel, Connection, options::ConfirmSelectOptions};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    fault::{Failure, Fault, Outcome},
    locked::locked,
};

/// Channels that are lent at the same time; who comes later waits.
const CHANNELS: usize = 16;
/// Between two looks at whether the broker takes messages again. The client tells of it only in a stream that would
/// grow while nobody reads it.
const BLOCKED_LOOK: Duration = Duration::from_millis(20);

/// One connection to the broker.
pub(crate) struct Live {
    connection: Connection,
    /// Queues, exchanges and bindings that were declared on this connection.
    known: Mutex<HashSet<String>>,
    idle: Mutex<Vec<Channel>>,
    lending: Semaphore,
    declaring: Semaphore,
    call_timeout: Duration,
    orphaned: Arc<AtomicBool>,
    canary: AbortHandle,
}

/// Says that the runtime has ended on which a connection lives: its own tasks would never answer.
struct Canary(Arc<AtomicBool>);

impl Drop for Canary {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Live {
    /// On the runtime that drives the connection.
    pub(crate) fn new(connection: Connection, call_timeout: Duration) -> Self {
        let orphaned = Arc::new(AtomicBool::new(false));
        let bird = Canary(orphaned.clone());
        let canary = tokio::spawn(async move {
            let _bird = bird;
            std::future::pending::<()>().await;
        });
        Self {
            connection,
            known: Mutex::default(),
            idle: Mutex::default(),
            lending: Semaphore::new(CHANNELS),
            declaring: Semaphore::new(1),
            call_timeout,
            orphaned,
            canary: canary.abort_handle(),
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.connection.status().connected() && !self.orphaned.load(Ordering::Acquire)
    }

    /// Whether the broker takes no messages for now: it has told so after the last one.
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Waits until the broker takes messages, at most until the limit for a call.
    pub(crate) async fn unblocked(&self) -> Outcome<()> {
        let deadline = Instant::now() + self.call_timeout;
        while self.is_blocked() {
            if Instant::now() >= deadline || !self.is_good() {
                let detail = "the broker takes no messages: it is short of memory or disk, see its alarms";
                return Err(Failure::new(Fault::Away, detail));
            }
            sleep(BLOCKED_LOOK).await;
        }
        Ok(())
    }

    /// A new channel in confirm mode.
    pub(crate) async fn open(&self) -> Outcome<Channel> {
        let open = async {
            let channel = self.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        self.within(open).await
    }

    /// A channel in confirm mode for one call, which nobody else uses meanwhile.
    pub(crate) async fn lend(&self) -> Outcome<Lent<'_>> {
        let place = self.lending.acquire().await.expect("it is never closed");
        let idle = locked(&self.idle).pop().filter(|channel| channel.status().connected());
        let channel = match idle {
            Some(channel) => channel,
            None => self.open().await?,
        };
        Ok(Lent { live: self, channel, _place: place })
    }

    /// A call that changes nothing or may be repeated without harm, with its limit.
    pub(crate) async fn within<T>(&self, call: impl Future<Output = lapin::Result<T>>) -> Outcome<T> {
        match timeout(self.call_timeout, call).await {
            Ok(answer) => answer.map_err(Failure::away),
            Err(_) => Err(Failure::no_answer(self.call_timeout, Fault::Away)),
        }
    }

    /// One declares at a time: who found a queue that another is just making would be refused its messages.
    pub(crate) async fn may_declare(&self) -> SemaphorePermit<'_> {
        self.declaring.acquire().await.expect("it is never closed")
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        locked(&self.known).contains(name)
    }

    pub(crate) fn note(&self, names: impl IntoIterator<Item = String>) {
        locked(&self.known).extend(names);
    }

    /// Somebody else has removed it.
    pub(crate) fn forget(&self, name: &str) {
        locked(&self.known).remove(name);
    }

    /// Forgets whatever was declared: a part of the topology was removed by others.
    pub(crate) fn forget_all(&self) {
        locked(&self.known).clear();
    }

    pub(crate) async fn close(&self) {
        // Whether it ends in order or not, it ends.
        let _: Result<_, _> = timeout(self.call_timeout, self.connection.close(200, "closed".into())).await;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.canary.abort();
    }
}

/// A channel that is lent for one call. It is closed if the call does not come to its end.
pub(crate) struct Lent<'l> {
    live: &'l Live,
    channel: Channel,
    _place: SemaphorePermit<'l>,
}

impl Lent<'_> {
    /// Nothing is under way on it: others may use it.
    pub(crate) fn give_back(self) {
        if self.channel.status().connected() {
            locked(&self.live.idle).push(self.channel);
        }
    }
}

impl Deref for Lent<'_> {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        &self.channel
    }
}
