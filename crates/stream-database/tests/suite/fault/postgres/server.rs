//! The server itself is killed, restarted and frozen under load.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use stream_core::{Consumer, Context, Draft, Driver, Handlers, JobId, NewJob, QueueManager, QueueName};
use stream_database::{DatabaseConfig, DatabaseDriver};
use stream_testkit::services::PrivateServer;
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// A server needs some of it to come back, a busy machine the rest.
const NOT_LATER: Duration = Duration::from_secs(60);
const BATCH: usize = 20;

/// A producer and a worker, each with a connection of its own.
struct Load {
    queue: QueueName,
    producer: DatabaseDriver,
    is_over: AtomicBool,
    acknowledged: Mutex<HashSet<JobId>>,
    worked: Mutex<HashMap<JobId, u32>>,
}

impl Load {
    /// Pushes until told to stop; what is not answered is pushed again, as it must be.
    async fn push(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let mut open: Vec<NewJob> =
                (0..BATCH).map(|_| Draft::named("x", &1).into_job().unwrap()).collect();
            while !open.is_empty() {
                let answers = self.producer.push(&self.queue, &open).await;
                let mut answers = answers.into_iter();
                open.retain(|job| match answers.next().unwrap() {
                    Ok(_) => {
                        self.acknowledged.lock().unwrap().insert(job.envelope.id);
                        false
                    }
                    Err(error) => {
                        assert!(error.is_transient(), "{error}");
                        true
                    }
                });
                sleep(Duration::from_millis(10)).await;
            }
        }
    }

    fn counts(&self) -> (usize, usize) {
        (self.acknowledged.lock().unwrap().len(), self.worked.lock().unwrap().len())
    }

    /// More jobs have been pushed and worked than at this moment.
    async fn goes_on(&self) {
        let (pushed, worked) = self.counts();
        let more = async {
            loop {
                let now = self.counts();
                if now.0 > pushed + BATCH && now.1 > worked + BATCH {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(NOT_LATER, more).await.expect("jobs are pushed and worked");
    }
}

async fn under_load(test: &str, disturb: fn(&mut PrivateServer)) {
    let mut server = match PrivateServer::start("postgres") {
        Ok(server) => server,
        Err(skip) => return skip.report(test),
    };
    let url = server.variable("STREAM_TEST_POSTGRES_URL").to_owned();
    let second = Duration::from_secs(1);
    let config = DatabaseConfig::new().connect_timeout(second * 2).call_timeout(second * 2);
    let connect = async || DatabaseDriver::connect_with(&url, config.clone()).await.unwrap();
    let (producer, worker) = (connect().await, connect().await);
    producer.migrate().await.unwrap();
    let load = Arc::new(Load {
        queue: QueueName::new("default").unwrap(),
        producer,
        is_over: AtomicBool::new(false),
        acknowledged: Mutex::default(),
        worked: Mutex::default(),
    });
    let noted = Arc::clone(&load);
    let handlers = Handlers::new().register_named("x", move |_: u32, cx: Context| {
        *noted.worked.lock().unwrap().entry(cx.id()).or_default() += 1;
        async { Ok(()) }
    });
    let manager = QueueManager::new(worker.clone());
    let consumer = Consumer::builder(&manager, handlers).workers(10).lease(second * 5).start().await.unwrap();
    let pushing = tokio::spawn({
        let load = Arc::clone(&load);
        async move { load.push().await }
    });
    load.goes_on().await;

    for _ in 0..2 {
        server = spawn_blocking(move || {
            disturb(&mut server);
            server
        })
        .await
        .unwrap();
        load.goes_on().await;
    }
    load.is_over.store(true, Ordering::Relaxed);
    timeout(NOT_LATER, pushing).await.expect("the last pushes are answered").unwrap();

    let all_done = async {
        loop {
            let depth = worker.depth(&load.queue).await.unwrap();
            if depth.ready + depth.delayed + depth.reserved == 0 {
                return depth.dead;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let dead = timeout(NOT_LATER, all_done).await.expect("the queue becomes empty");
    assert_eq!(dead, Some(0));
    let worked: HashSet<JobId> = load.worked.lock().unwrap().keys().copied().collect();
    let lost: Vec<_> = load.acknowledged.lock().unwrap().difference(&worked).copied().collect();
    assert!(lost.is_empty(), "{} jobs were acknowledged and never worked", lost.len());
    let stopped = consumer.shutdown().await.unwrap();
    assert_eq!(stopped.abandoned, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_by_itself_when_its_server_was_killed() {
    let test = "fault::postgres::server::a_worker_goes_on_by_itself_when_its_server_was_killed";
    under_load(test, |server| {
        server.kill();
        server.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_by_itself_when_its_server_was_restarted() {
    let test = "fault::postgres::server::a_worker_goes_on_by_itself_when_its_server_was_restarted";
    under_load(test, PrivateServer::restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_by_itself_when_its_server_was_frozen() {
    let test = "fault::postgres::server::a_worker_goes_on_by_itself_when_its_server_was_frozen";
    under_load(test, |server| {
        server.pause();
        std::thread::sleep(Duration::from_secs(4));
        server.resume();
    })
    .await;
}
