//! What a child process does: it pushes, or it works, and notes it in the ledger.

use std::{
    collections::HashSet,
    io::{self, Read},
    process, slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use stream_core::{
    Codec, Delivery, Driver, Envelope, ErrorKind, JobId, NewJob, Outcome, Reserve, Result, Settlement,
};
use tokio::time::sleep;

use super::{
    CrashBackend, Killing, bystanders,
    orders::{Orders, Role},
    process::CHILD_LIMIT,
};
use crate::{
    Skip,
    ledger::{Ledger, Page},
};

/// The lease of a worker: short, since each kill costs one.
pub(super) const LEASE: Duration = Duration::from_millis(500);
/// Jobs per push.
pub(super) const BATCH: usize = 5;
/// Jobs per reserve.
pub(super) const IN_HAND: usize = 4;
/// A producer pushes at least so many, and goes on until it is told to stop.
const JOBS_MIN: usize = 40;
/// Between two pushes, so that workers keep up.
const PAUSE: Duration = Duration::from_millis(10);
/// Before a call that failed is made again.
const AGAIN: Duration = Duration::from_millis(20);
/// A worker that waits for work looks this often whether it is to stop.
const WAIT: Duration = Duration::from_millis(50);

/// The entry of a child process; returns at once in any other.
///
/// # Panics
/// If the part cannot be played: the test that started the process fails then.
pub fn run_child<B, S>(_setup: impl FnOnce() -> S)
where
    B: CrashBackend,
    S: Future<Output = Result<B, Skip>>,
{
    let Some(orders) = Orders::from_env() else { return };
    let is_stopped = watch_the_parent();
    // One thread: at a kill point nothing else of the child goes on.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut driver = B::connect_from_env().await.expect("the child connects");
        if let Some((point, pass)) = orders.kill {
            driver = Arc::new(Killing::new(driver, point, pass));
        }
        let child = Child { driver, ledger: Ledger::at(&orders.folder), orders, is_stopped };
        match child.orders.role {
            Role::Producer => child.produce().await,
            Role::Worker => child.work().await,
            Role::Consumer => bystanders::consume(&child).await,
        }
        child.driver.close().await.expect("closed");
    });
}

/// True once the parent has closed the child's standard input, by will or by its own end.
fn watch_the_parent() -> Arc<AtomicBool> {
    let is_stopped = Arc::new(AtomicBool::new(false));
    let flag = is_stopped.clone();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        flag.store(true, Ordering::Relaxed);
    });
    thread::spawn(|| {
        thread::sleep(CHILD_LIMIT);
        eprintln!("the child's time is up");
        process::exit(3);
    });
    is_stopped
}

pub(super) struct Child {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) ledger: Ledger,
    pub(super) orders: Orders,
    is_stopped: Arc<AtomicBool>,
}

impl Child {
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    fn note(&self, page: Page, ids: &[JobId]) {
        self.ledger.append(page, ids).expect("the ledger is written");
    }

    /// Pushes batches; what was not answered, also by a producer that was killed, is pushed again.
    async fn produce(&self) {
        let mut pushed: HashSet<_> =
            self.ledger.read(Page::Pushed).expect("the ledger is read").into_iter().collect();
        let intended = self.ledger.read(Page::Intended).expect("the ledger is read");
        let mut pending: Vec<_> = intended.into_iter().filter(|id| !pushed.contains(id)).collect();
        while !(self.is_stopped() && pending.is_empty() && pushed.len() >= JOBS_MIN) {
            if pending.is_empty() {
                pending = (0..BATCH).map(|_| JobId::new()).collect();
                self.note(Page::Intended, &pending);
            }
            let stored = self.push(&pending[..BATCH.min(pending.len())]).await;
            self.note(Page::Pushed, &stored);
            pending.retain(|id| !stored.contains(id));
            pushed.extend(stored);
            sleep(PAUSE).await;
        }
    }

    /// The ids whose push was answered.
    async fn push(&self, ids: &[JobId]) -> Vec<JobId> {
        let jobs: Vec<_> = ids.iter().map(|id| job_of(*id)).collect();
        let answers = self.driver.push(&self.orders.queue, &jobs).await;
        assert_eq!(answers.len(), ids.len(), "one answer for each job");
        let stored = ids.iter().zip(answers).filter(|(_, answer)| match answer {
            Ok(_) => true,
            Err(error) => {
                assert!(error.is_transient(), "a push failed for good: {error:?}");
                false
            }
        });
        stored.map(|(id, _)| *id).collect()
    }

    async fn work(&self) {
        let queue = &self.orders.queue;
        let subscription = self.driver.subscribe(slice::from_ref(queue)).await.expect("subscribed");
        let request = Reserve::new(IN_HAND).lease(self.lease());
        let mut released = HashSet::new();
        while !self.is_stopped() {
            match subscription.reserve(queue, request).await {
                Ok(taken) if taken.is_empty() => {
                    let _: Result<_> = subscription.ready(WAIT).await;
                }
                Ok(taken) => self.handle(&taken, &mut released).await,
                Err(error) => {
                    assert!(error.is_transient(), "a reserve failed for good: {error:?}");
                    sleep(AGAIN).await;
                }
            }
        }
        subscription.close().await.expect("closed");
    }

    pub(super) fn lease(&self) -> Duration {
        LEASE.max(self.driver.capabilities().lease.grain())
    }

    async fn handle(&self, taken: &[Delivery], released: &mut HashSet<JobId>) {
        let deliveries: Vec<_> = taken.iter().collect();
        // Its answer changes nothing here: whoever has lost a lease learns it from `settle`.
        let _: Vec<Result<()>> = self.driver.extend(&self.orders.queue, &deliveries, self.lease()).await;
        let outcomes: Vec<_> = taken.iter().map(|delivery| outcome_of(delivery, released)).collect();
        let (mut done, mut buried) = (Vec::new(), Vec::new());
        for (delivery, outcome) in taken.iter().zip(&outcomes) {
            match outcome {
                Outcome::Done => done.push(id_of(delivery)),
                Outcome::Bury { .. } => buried.push(id_of(delivery)),
                Outcome::Retry { .. } | Outcome::Release { .. } => {}
            }
        }
        self.note(Page::Done, &done);
        self.note(Page::Buried, &buried);
        let mut open: Vec<_> = taken.iter().zip(&outcomes).collect();
        while !open.is_empty() {
            open = self.settle(&open).await;
            if !open.is_empty() {
                sleep(AGAIN).await;
            }
        }
    }

    /// Settles; what has to be settled again.
    async fn settle<'a>(&self, open: &[(&'a Delivery, &'a Outcome)]) -> Vec<(&'a Delivery, &'a Outcome)> {
        let settlements: Vec<_> = open.iter().map(|(it, outcome)| Settlement::new(it, outcome)).collect();
        let answers = self.driver.settle(&self.orders.queue, &settlements).await;
        assert_eq!(answers.len(), open.len(), "one answer for each settlement");
        let mut again = Vec::new();
        for ((delivery, outcome), answer) in open.iter().zip(answers) {
            match answer {
                Ok(()) => {}
                Err(error) if *error.kind() == ErrorKind::LeaseLost => {
                    self.note(Page::Late, &[id_of(delivery)]);
                }
                Err(error) if error.is_transient() => again.push((*delivery, *outcome)),
                Err(error) => panic!("a settlement failed for good: {error:?}"),
            }
        }
        again
    }
}

fn job_of(id: JobId) -> NewJob {
    let mut envelope = Envelope::new("crash", Codec::Raw, id.as_bytes().to_vec());
    envelope.id = id;
    NewJob::new(envelope)
}

/// The id, after a look at the payload, which has to come back with it.
fn id_of(delivery: &Delivery) -> JobId {
    let envelope = delivery.envelope.as_ref().expect("the envelope comes back as it was pushed");
    assert_eq!(envelope.payload, envelope.id.as_bytes(), "the payload comes back as it was pushed");
    envelope.id
}

/// Each job has its own fate: of eight, five are done at once, and one each is buried, is done after a
/// retry, or after a release.
fn outcome_of(delivery: &Delivery, released: &mut HashSet<JobId>) -> Outcome {
    let id = id_of(delivery);
    match id.as_bytes()[15] % 8 {
        0 => Outcome::Bury { error: "it was to be buried".into() },
        1 if delivery.attempt == 1 => {
            Outcome::Retry { after: Duration::ZERO, error: "it was to be retried".into() }
        }
        2 if released.insert(id) => Outcome::Release { after: Duration::ZERO },
        _ => Outcome::Done,
    }
}
