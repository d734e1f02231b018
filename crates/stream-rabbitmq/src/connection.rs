//! What a driver and its subscriptions share.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;

use crate::{
    RabbitMqConfig, error,
    fault::Outcome,
    intake::Intake,
    link::{Factory, Link},
    locked::locked,
    topology::Topology,
};

/// How long closing waits until what was not handed out has gone back.
const GIVING_BACK: Duration = Duration::from_secs(2);

/// Two connections to one broker: one to push through, one to take jobs on.
///
/// A broker that is short of memory stops reading from those who publish. Apart, workers can still drain its queues.
pub(crate) struct Connection {
    pub(crate) config: RabbitMqConfig,
    pub(crate) topology: Topology,
    pub(crate) pushes: Link,
    pub(crate) takes: Link,
    intakes: Mutex<HashMap<u64, Weak<Intake>>>,
    /// Queues that did not answer.
    shunned: Mutex<HashSet<String>>,
    calls: AtomicU64,
    closed: AtomicBool,
}

impl Connection {
    pub(crate) fn new(factory: &Factory, config: RabbitMqConfig) -> Self {
        let link = || Link::new(factory.clone(), config.connect_timeout, config.call_timeout);
        Self {
            pushes: link(),
            takes: link(),
            topology: Topology::new(&config),
            intakes: Mutex::default(),
            shunned: Mutex::default(),
            calls: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            config,
        }
    }

    pub(crate) fn ensure_open(&self) -> Outcome<()> {
        if self.is_closed() { Err(error::closed()) } else { Ok(()) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// A number that no other call has.
    pub(crate) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn enlist(&self, intake: &Arc<Intake>) -> Outcome<()> {
        let mut intakes = locked(&self.intakes);
        // Under the lock, so that `close` finds all there are.
        self.ensure_open()?;
        intakes.insert(intake.nonce, Arc::downgrade(intake));
        Ok(())
    }

    pub(crate) fn strike_off(&self, nonce: u64) {
        locked(&self.intakes).remove(&nonce);
    }

    /// The channel that a receipt is of, if it is still there.
    pub(crate) fn intake(&self, nonce: u64) -> Option<Arc<Intake>> {
        locked(&self.intakes).get(&nonce).and_then(Weak::upgrade)
    }

    pub(crate) fn shun(&self, queue: String) {
        locked(&self.shunned).insert(queue);
    }

    pub(crate) fn welcome(&self, queue: &str) {
        locked(&self.shunned).remove(queue);
    }

    pub(crate) fn is_shunned(&self, queue: &str) -> bool {
        locked(&self.shunned).contains(queue)
    }

    pub(crate) async fn close(&self) {
        let intakes: Vec<Arc<Intake>> = {
            let intakes = locked(&self.intakes);
            self.closed.store(true, Ordering::Release);
            intakes.values().filter_map(Weak::upgrade).collect()
        };
        intakes.iter().for_each(|intake| intake.begin_closing());
        let give_back = async {
            for intake in &intakes {
                intake.gave_back().await;
                intake.applied().await;
            }
        };
        // What does not go back now, the broker takes back with the connection.
        let _: Result<(), _> = timeout(GIVING_BACK, give_back).await;
        intakes.iter().for_each(|intake| intake.end());
        tokio::join!(self.pushes.close(), self.takes.close());
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}
