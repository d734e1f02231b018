//! A producer and a worker that go on whatever happens, and what must be true in the end.

use std::{
    collections::BTreeMap,
    slice,
    sync::{Arc, Mutex},
    time::Duration,
};

use stream_core::{Draft, Driver, JobId, Outcome, QueueName, Reserve, Settlement};
use stream_rabbitmq::{RabbitMqConfig, RabbitMqDriver};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Long enough for a broker to be started again on a busy machine.
const IN_THE_END: Duration = Duration::from_secs(90);

/// Jobs that were confirmed, and how often each was done.
#[derive(Debug, Default)]
struct Books {
    confirmed: Vec<JobId>,
    done: BTreeMap<JobId, usize>,
}

/// A producer and a worker under way.
pub(crate) struct Load {
    books: Arc<Mutex<Books>>,
    producer: JoinHandle<()>,
    worker: JoinHandle<()>,
    driver: RabbitMqDriver,
    queue: QueueName,
}

impl Load {
    /// Begins to push `jobs` jobs one after the other, each until it is confirmed, and to work them.
    pub(crate) async fn begin(url: &str, queue: &QueueName, jobs: usize) -> Self {
        let config = RabbitMqConfig::new().call_timeout(Duration::from_secs(5));
        let driver = RabbitMqDriver::connect_with(url, config).await.unwrap();
        let books = Arc::new(Mutex::new(Books::default()));
        let producer = tokio::spawn(produce(driver.clone(), queue.clone(), books.clone(), jobs));
        let worker = tokio::spawn(work(driver.clone(), queue.clone(), books.clone()));
        Self { books, producer, worker, driver, queue: queue.clone() }
    }

    /// Waits until so many jobs were confirmed.
    pub(crate) async fn confirmed(&self, jobs: usize) {
        let reached = async {
            while self.books.lock().unwrap().confirmed.len() < jobs {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(IN_THE_END, reached).await.expect("the producer goes on by itself");
    }

    /// Waits until every confirmed job was done; how many were done more than once.
    pub(crate) async fn end(self) -> usize {
        timeout(IN_THE_END, self.producer).await.expect("the producer goes on by itself").unwrap();
        let all_done = async {
            loop {
                {
                    let books = self.books.lock().unwrap();
                    if books.confirmed.iter().all(|id| books.done.contains_key(id)) {
                        return;
                    }
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(IN_THE_END, all_done).await.is_err() {
            let depth = self.driver.depth(&self.queue).await;
            let books = self.books.lock().unwrap();
            let missing = books.confirmed.iter().filter(|id| !books.done.contains_key(id)).count();
            panic!("{missing} of {} jobs were not done; {depth:?}", books.confirmed.len());
        }
        self.worker.abort();
        self.driver.close().await.unwrap();
        self.books.lock().unwrap().done.values().filter(|count| **count > 1).count()
    }
}

async fn produce(driver: RabbitMqDriver, queue: QueueName, books: Arc<Mutex<Books>>, jobs: usize) {
    for _ in 0..jobs {
        let job = Draft::named("x", &1).into_job().unwrap();
        // A push whose answer was lost may be there already: then the job is there twice.
        while driver.push(&queue, slice::from_ref(&job)).await.remove(0).is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        books.lock().unwrap().confirmed.push(job.envelope.id);
    }
}

async fn work(driver: RabbitMqDriver, queue: QueueName, books: Arc<Mutex<Books>>) {
    let subscription = driver.subscribe(slice::from_ref(&queue)).await.unwrap();
    let mut turn = 0_usize;
    loop {
        let Ok(taken) = subscription.reserve(&queue, Reserve::new(10)).await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        if taken.is_empty() && subscription.ready(Duration::from_secs(5)).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        for delivery in taken {
            turn += 1;
            // One in seven fails once, so that copies are under way as well.
            if turn.is_multiple_of(7) && delivery.attempt == 1 {
                let outcome = Outcome::Retry { after: Duration::ZERO, error: "once".into() };
                driver.settle(&queue, &[Settlement::new(&delivery, &outcome)]).await;
                continue;
            }
            // Whatever the answer: one that was lost may have been obeyed.
            *books.lock().unwrap().done.entry(delivery.id().unwrap()).or_default() += 1;
            driver.settle(&queue, &[Settlement::new(&delivery, &Outcome::Done)]).await;
        }
    }
}
