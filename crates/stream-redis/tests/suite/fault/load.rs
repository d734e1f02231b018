//! Programs at work while their server fails: what was acknowledged is done, whatever happened meanwhile.

use std::{
    collections::BTreeMap,
    slice,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use stream_core::{Consumer, Context, Draft, Driver, Handlers, JobId, Pushed, QueueManager, QueueName};
use stream_redis::RedisDriver;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How long the store has to be quiet before what is missing is lost: several leases.
const PATIENCE: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(1);

/// Two producers and two consumers on connections of their own.
pub(crate) struct Load {
    queues: Vec<QueueName>,
    is_over: Arc<AtomicBool>,
    producers: Vec<JoinHandle<Vec<JobId>>>,
    consumers: Vec<Consumer>,
    runs: Arc<Mutex<BTreeMap<JobId, u32>>>,
}

impl Load {
    /// Begins; each program has a connection that `connect` makes.
    pub(crate) async fn begin<F>(queues: &[&str], connect: impl Fn() -> F) -> Self
    where
        F: Future<Output = RedisDriver>,
    {
        let queues: Vec<_> = queues.iter().map(|queue| QueueName::new(queue).unwrap()).collect();
        let (is_over, runs) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (mut producers, mut consumers) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            producers.push(tokio::spawn(produce(connect().await, queues.clone(), is_over.clone())));
            consumers.push(consume(connect().await, &queues, &runs).await);
        }
        Self { queues, is_over, producers, consumers, runs }
    }

    pub(crate) fn done(&self) -> usize {
        self.runs.lock().unwrap().len()
    }

    /// Waits until work goes on.
    pub(crate) async fn goes_on(&self) {
        let (before, begun) = (self.done(), Instant::now());
        while self.done() < before + 40 {
            assert!(begun.elapsed() < PATIENCE, "the workers stand still at {before} jobs");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the producers, waits for the workers, and balances the books; how many jobs ran more than once.
    pub(crate) async fn balance(self, driver: &RedisDriver) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        let mut pushed = Vec::new();
        for producer in self.producers {
            pushed.extend(producer.await.unwrap());
        }
        assert!(pushed.len() > 100, "only {} jobs were pushed", pushed.len());
        let begun = Instant::now();
        let missing = || {
            let runs = self.runs.lock().unwrap();
            pushed.iter().filter(|id| !runs.contains_key(*id)).count()
        };
        while missing() > 0 {
            assert!(begun.elapsed() < PATIENCE, "{} of {} jobs are lost", missing(), pushed.len());
            sleep(Duration::from_millis(20)).await;
        }
        for consumer in self.consumers {
            consumer.shutdown().await.unwrap();
        }
        for queue in &self.queues {
            let depth = driver.depth(queue).await.unwrap();
            assert_eq!(
                (depth.ready, depth.reserved, depth.delayed, depth.dead),
                (0, 0, 0, Some(0)),
                "{queue}"
            );
        }
        self.runs.lock().unwrap().values().filter(|runs| **runs > 1).count()
    }
}

/// Pushes until it is over; what was acknowledged, be it at the second or tenth time of asking.
async fn produce(driver: RedisDriver, queues: Vec<QueueName>, is_over: Arc<AtomicBool>) -> Vec<JobId> {
    let mut stored = Vec::new();
    for queue in queues.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            return stored;
        }
        let job = Draft::named("x", &stored.len()).into_job().unwrap();
        let begun = Instant::now();
        loop {
            match driver.push(queue, slice::from_ref(&job)).await.remove(0) {
                Ok(Pushed::Stored(id) | Pushed::AlreadyStored(id)) => break stored.push(id),
                Ok(other) => panic!("{other:?}"),
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
            assert!(begun.elapsed() < PATIENCE, "the producer stands still");
            sleep(Duration::from_millis(10)).await;
        }
    }
    stored
}

async fn consume(
    driver: RedisDriver,
    queues: &[QueueName],
    runs: &Arc<Mutex<BTreeMap<JobId, u32>>>,
) -> Consumer {
    let runs = runs.clone();
    let handlers = Handlers::new().register_named("x", move |_: usize, cx: Context| {
        *runs.lock().unwrap().entry(cx.id()).or_default() += 1;
        async { Ok(()) }
    });
    let manager = QueueManager::new(driver);
    let names = queues.iter().map(QueueName::as_str);
    Consumer::builder(&manager, handlers).queues(names).workers(4).lease(LEASE).start().await.unwrap()
}
