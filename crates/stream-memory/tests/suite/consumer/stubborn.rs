//! A store that is there and refuses outcomes: nothing is lost, nothing is asked for ever.

use std::{sync::Arc, time::Duration};

use stream_core::{
    Capabilities, Cleared, DeadLetterStore, DelaySupport, Delivery, Depth, Driver, Error, ErrorKind, Finding,
    NewJob, Outcome, Pushed, QueueManager, QueueName, Result, Settlement, Subscription, async_trait,
};
use stream_memory::MemoryDriver;

use super::{World, act};

/// Refuses to settle a retry with this error; everything else is memory's.
#[derive(Debug)]
struct Stubborn {
    inner: MemoryDriver,
    refuses: Option<ErrorKind>,
    longest: Option<Duration>,
}

#[async_trait]
impl Driver for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        if let Some(max) = self.longest {
            capabilities.retry_delay = DelaySupport::UpTo { max, grain: Duration::from_millis(1) };
        }
        capabilities
    }
    async fn push(&self, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
        self.inner.push(queue, jobs).await
    }
    async fn subscribe(&self, queues: &[QueueName]) -> Result<Box<dyn Subscription>> {
        self.inner.subscribe(queues).await
    }
    async fn settle(&self, queue: &QueueName, settlements: &[Settlement<'_>]) -> Vec<Result<()>> {
        let mut answers = Vec::new();
        for settlement in settlements {
            answers.push(match (&self.refuses, settlement.outcome) {
                (Some(kind), Outcome::Retry { .. }) => Err(Error::new(kind.clone(), "stubborn", "settle")),
                _ => self.inner.settle(queue, &[*settlement]).await.remove(0),
            });
        }
        answers
    }
    async fn extend(&self, queue: &QueueName, deliveries: &[&Delivery], lease: Duration) -> Vec<Result<()>> {
        self.inner.extend(queue, deliveries, lease).await
    }
    fn is_current(&self, delivery: &Delivery) -> bool {
        self.inner.is_current(delivery)
    }
    async fn depth(&self, queue: &QueueName) -> Result<Depth> {
        self.inner.depth(queue).await
    }
    async fn clear(&self, queue: &QueueName) -> Result<Cleared> {
        self.inner.clear(queue).await
    }
    async fn check(&self) -> Result<Vec<Finding>> {
        self.inner.check().await
    }
    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
    fn dead_letters(&self) -> Option<&dyn DeadLetterStore> {
        self.inner.dead_letters()
    }
}

fn stubborn_world(refuses: Option<ErrorKind>, longest: Option<Duration>) -> World {
    let mut world = World::new();
    world.queue = QueueManager::new(Arc::new(Stubborn { inner: world.driver.clone(), refuses, longest }));
    world
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_the_store_cannot_keep_is_buried_with_the_reason() {
    let unsupported = ErrorKind::Unsupported { feature: "retry delay", limit: "12 h in all".into() };
    let world = stubborn_world(Some(unsupported), None);
    world.queue.push(act("fail")).await.unwrap();

    world.consumer().drain_all().await.unwrap();

    assert_eq!(world.noted(), ["run fail 1", "buried"]);
    assert!(world.dead().await[0].starts_with("the retry was refused: "), "{:?}", world.dead().await);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_written_is_given_up_and_the_lease_ends_the_job() {
    let world = stubborn_world(Some(ErrorKind::Unexpected), None);
    world.queue.push(act("fail once")).await.unwrap();
    world.queue.push(act("work")).await.unwrap();

    world.consumer().workers(2).drain_all().await.unwrap();

    // Each time its lease ends it runs again, and is buried in the end: neither lost nor asked for ever.
    assert_eq!((world.count("run fail once 1"), world.count("unconfirmed")), (5, 5));
    assert_eq!(world.count("done"), 1);
    assert!(world.dead().await[0].starts_with("lost 5 times"), "{:?}", world.dead().await);
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_what_the_connection_keeps_is_cut_to_it() {
    let world = stubborn_world(None, Some(Duration::from_secs(60)));
    world.queue.push(act("retry in an hour")).await.unwrap();

    world.consumer().drain_all().await.unwrap();

    assert_eq!((world.count("retry 60"), world.count("done")), (1, 1));
}
