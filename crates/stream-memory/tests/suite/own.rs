//! What only a store in memory does: a capacity, foreign bytes, connections that share a store.

use std::{slice, time::Duration};

use stream_core::{
    Capabilities, Codec, DeadLetterId, Delivery, Driver, Envelope, Error, ErrorKind, NewJob, Outcome,
    Priority, Pushed, QueueName, Receipt, Reserve, Result, Settlement, Support,
};
use stream_memory::{MemoryConfig, MemoryDriver};
use tokio::time::Instant;

fn jobs() -> QueueName {
    QueueName::new("jobs").unwrap()
}

fn job() -> NewJob {
    NewJob::new(Envelope::new("job", Codec::Raw, b"secret".to_vec()))
}

async fn push(driver: &MemoryDriver, job: &NewJob) -> Result<Pushed> {
    driver.push(&jobs(), slice::from_ref(job)).await.remove(0)
}

async fn take(driver: &MemoryDriver, max_jobs: usize) -> Vec<Delivery> {
    let subscription = driver.subscribe(&[jobs()]).await.unwrap();
    subscription.reserve(&jobs(), Reserve::new(max_jobs)).await.unwrap()
}

async fn settle(driver: &MemoryDriver, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
    driver.settle(&jobs(), &[Settlement::new(delivery, outcome)]).await.remove(0)
}

fn kind<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind().clone())
}

#[tokio::test]
async fn a_job_beyond_the_capacity_is_refused_and_its_neighbours_are_not() {
    let driver = MemoryDriver::with_config(MemoryConfig::new().capacity(2));
    let batch = [job(), job(), job()];
    let answers = driver.push(&jobs(), &batch).await;
    assert!(answers[..2].iter().all(Result::is_ok));
    let error = answers[2].as_ref().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        "memory: push failed: unavailable: full: the store holds its capacity of 2 jobs"
    );
    assert_eq!(push(&driver, &batch[0]).await.unwrap(), Pushed::AlreadyStored(batch[0].envelope.id));
    assert_eq!(kind(driver.push_bytes(&jobs(), vec![0])), Some(ErrorKind::Unavailable));
    assert!(driver.check().await.unwrap()[0].severe);
}

#[tokio::test]
async fn the_capacity_is_shared_by_all_queues_and_counts_reserved_and_dead_jobs() {
    let driver = MemoryDriver::with_config(MemoryConfig::new().capacity(2));
    let other = QueueName::new("other").unwrap();
    driver.push(&other, &[job()]).await.remove(0).unwrap();
    push(&driver, &job()).await.unwrap();
    let taken = take(&driver, 1).await.remove(0);
    assert_eq!(kind(push(&driver, &job()).await), Some(ErrorKind::Unavailable));
    settle(&driver, &taken, &Outcome::Bury { error: "hopeless".into() }).await.unwrap();
    assert_eq!(kind(push(&driver, &job()).await), Some(ErrorKind::Unavailable));
    assert_eq!(driver.dead_letters().unwrap().clear(&jobs()).await.unwrap(), 1);
    push(&driver, &job()).await.unwrap();
    driver.clear(&other).await.unwrap();
    push(&driver, &job()).await.unwrap();
}

#[tokio::test]
async fn foreign_bytes_that_are_an_envelope_are_a_job_with_its_own_priority() {
    let driver = MemoryDriver::new();
    push(&driver, &job()).await.unwrap();
    let mut urgent = job().envelope;
    urgent.priority = Priority::Critical;
    driver.push_bytes(&jobs(), urgent.to_bytes()).unwrap();
    driver.push_bytes(&jobs(), urgent.to_bytes()).unwrap();
    let taken = take(&driver, 10).await;
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].envelope.as_ref(), Ok(&urgent));
}

#[tokio::test]
async fn other_bytes_are_delivered_untouched_also_after_burial_and_retry() {
    let driver = MemoryDriver::new();
    let bytes = b"no envelope".to_vec();
    driver.push_bytes(&jobs(), bytes.clone()).unwrap();
    let taken = take(&driver, 1).await.remove(0);
    assert_eq!(taken.envelope.as_ref().unwrap_err().bytes, bytes);
    settle(&driver, &taken, &Outcome::Bury { error: "unreadable".into() }).await.unwrap();
    let dead = driver.dead_letters().unwrap();
    let letter = dead.list(&jobs(), None, 10).await.unwrap().remove(0);
    assert_eq!(letter.envelope.unwrap_err().bytes, bytes);
    assert!(dead.retry(&jobs(), &letter.id).await.unwrap());
    assert_eq!(take(&driver, 1).await[0].envelope.as_ref().unwrap_err().bytes, bytes);
}

#[tokio::test]
async fn bytes_beyond_the_maximum_are_refused() {
    let driver = MemoryDriver::with_config(MemoryConfig::new().envelope_bytes_max(10));
    assert_eq!(driver.capabilities().envelope_bytes_max, 10);
    assert_eq!(kind(driver.push_bytes(&jobs(), vec![0; 11])), Some(ErrorKind::InvalidJob));
}

#[tokio::test(start_paused = true)]
async fn a_clone_is_closed_with_its_connection_and_another_connection_is_not() {
    let driver = MemoryDriver::new();
    let (clone, other) = (driver.clone(), driver.connect());
    let waiting = clone.subscribe(&[jobs()]).await.unwrap();
    let begun = Instant::now();
    let (answer, closed) = tokio::join!(waiting.ready(Duration::from_secs(60)), driver.close());
    closed.unwrap();
    assert_eq!(kind(answer), Some(ErrorKind::Unavailable));
    assert_eq!(begun.elapsed(), Duration::ZERO, "who waited learns of it at once");
    assert_eq!(kind(clone.depth(&jobs()).await), Some(ErrorKind::Unavailable));
    push(&other, &job()).await.unwrap();
    assert_eq!(other.depth(&jobs()).await.unwrap().ready, 1);
}

#[tokio::test]
async fn a_delivery_of_another_store_or_queue_is_over() {
    let (here, there) = (MemoryDriver::new(), MemoryDriver::new());
    for driver in [&here, &there] {
        push(driver, &job()).await.unwrap();
        driver.push(&QueueName::new("other").unwrap(), &[job()]).await.remove(0).unwrap();
    }
    let (mine, foreign) = (take(&here, 1).await.remove(0), take(&there, 1).await.remove(0));
    assert!(here.is_current(&mine) && !here.is_current(&foreign));
    assert_eq!(kind(settle(&here, &foreign, &Outcome::Done).await), Some(ErrorKind::LeaseLost));
    let elsewhere = QueueName::new("other").unwrap();
    let answer = here.settle(&elsewhere, &[Settlement::new(&mine, &Outcome::Done)]).await.remove(0);
    assert_eq!(kind(answer), Some(ErrorKind::LeaseLost));
    settle(&here, &mine, &Outcome::Done).await.unwrap();
}

#[tokio::test]
async fn made_up_receipts_and_ids_harm_nothing() {
    let driver = MemoryDriver::new();
    push(&driver, &job()).await.unwrap();
    let mut delivery = take(&driver, 1).await.remove(0);
    let dead = driver.dead_letters().unwrap();
    for bytes in [vec![], vec![0xff; 8], vec![0xff; 32], vec![0; 1024]] {
        delivery.receipt = Receipt::new(bytes.clone());
        assert!(!driver.is_current(&delivery));
        assert_eq!(kind(settle(&driver, &delivery, &Outcome::Done).await), Some(ErrorKind::LeaseLost));
        let id = DeadLetterId::new(bytes);
        assert!(!dead.retry(&jobs(), &id).await.unwrap());
        assert!(!dead.remove(&jobs(), &id).await.unwrap());
    }
    let answer = dead.list(&jobs(), Some(&DeadLetterId::new(b"abc".to_vec())), 1).await;
    assert_eq!(answer.as_ref().err().map(Error::kind), Some(&ErrorKind::Config));
}

#[tokio::test]
async fn debug_shows_no_job() {
    let driver = MemoryDriver::new();
    push(&driver, &job()).await.unwrap();
    driver.push_bytes(&jobs(), b"secret".to_vec()).unwrap();
    let shown = format!("{driver:#?}");
    assert!(!shown.contains("secret") && !shown.contains("115"), "{shown}");
    assert!(shown.contains("is_closed: false"), "{shown}");
}

#[test]
fn memory_declares_everything_but_routing() {
    let mut expected = Capabilities::full(16 * 1024 * 1024);
    expected.routing = Support::No;
    assert_eq!(MemoryDriver::new().capabilities(), expected);
}
