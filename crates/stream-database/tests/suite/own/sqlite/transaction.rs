//! Jobs and rows of the program that are committed together, or not at all.

use std::{
    slice,
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::{Sqlite, SqlitePool, Transaction};
use stream_core::{
    Consumer, Context, Delivery, Draft, Driver, ErrorKind, Event, Handlers, JobError, NewJob, Outcome,
    Pushed, QueueManager, Reserve, Result, Settlement,
};
use stream_database::{DatabaseConfig, DatabaseDriver, PushWithin};
use tokio::time::{sleep, timeout};

use super::{LONG, NOT_LATER, queue, run, wait_for_work};
use crate::backends::sqlite::File;

const LEASE: Duration = Duration::from_millis(300);

/// A call waits for a lock half as long.
const CALL: Duration = Duration::from_millis(400);

/// A program with a table of orders beside its jobs.
struct Shop {
    file: File,
    pool: SqlitePool,
    driver: DatabaseDriver,
}

impl Shop {
    async fn open() -> Self {
        let file = File::new();
        file.migrated().await.close().await.unwrap();
        run(&file, "CREATE TABLE orders (id INTEGER PRIMARY KEY)").await;
        let driver = file.connect(DatabaseConfig::new().call_timeout(CALL)).await;
        let pool = SqlitePool::connect(&file.url()).await.unwrap();
        Self { file, pool, driver }
    }

    async fn begin(&self) -> Transaction<'static, Sqlite> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.unwrap()
    }

    async fn order(&self, transaction: &mut Transaction<'static, Sqlite>, id: i64) {
        let insert = sqlx::query("INSERT INTO orders VALUES (?1)").bind(id);
        insert.execute(&mut **transaction).await.unwrap();
    }

    async fn orders(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&self.pool).await.unwrap()
    }

    /// Ready, reserved and dead jobs.
    async fn jobs(&self) -> (u64, u64, u64) {
        let depth = self.driver.depth(&queue()).await.unwrap();
        (depth.ready, depth.reserved, depth.dead.unwrap())
    }

    async fn take(&self, driver: &DatabaseDriver, lease: Duration) -> Option<Delivery> {
        let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
        subscription.reserve(&queue(), Reserve::new(1).lease(lease)).await.unwrap().pop()
    }

    async fn taken(&self, lease: Duration) -> Delivery {
        self.driver.push(&queue(), &[job()]).await.remove(0).unwrap();
        self.take(&self.driver, lease).await.expect("a job is ready")
    }

    async fn settle(&self, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
        self.driver.settle(&queue(), &[Settlement::new(delivery, outcome)]).await.remove(0)
    }

    async fn extend(&self, delivery: &Delivery) -> Result<()> {
        let (queue, deliveries) = (queue(), [delivery]);
        let extend = self.driver.extend(&queue, &deliveries, LEASE);
        timeout(NOT_LATER, extend).await.expect("it does not wait").remove(0)
    }
}

fn job() -> NewJob {
    Draft::named("ship", &1).into_job().unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind().clone()
}

#[tokio::test]
async fn a_job_of_a_transaction_is_there_when_that_is_committed_and_wakes_who_waits() {
    let shop = Shop::open().await;
    let config = DatabaseConfig::new().poll_intervals(LONG, LONG);
    let workers = [shop.file.connect(config.clone()).await, shop.driver.clone()];
    let manager = QueueManager::new(shop.driver.clone());

    for (id, worker) in (0..).zip(workers) {
        let subscription = worker.subscribe(slice::from_ref(&queue())).await.unwrap();
        let waiting = wait_for_work(subscription).await;
        let mut transaction = shop.begin().await;
        shop.order(&mut transaction, id).await;
        let push = manager.push(Draft::named("ship", &id)).on_queue("default");
        let pushed = push.within(&shop.driver, &mut transaction).await.unwrap();
        assert_eq!(shop.jobs().await.0, 0, "nobody sees it before the commit");

        transaction.commit().await.unwrap();

        assert_eq!(timeout(NOT_LATER, waiting).await.expect("the commit is heard").unwrap(), [queue()]);
        let delivery = shop.take(&worker, LEASE * 10).await.expect("it is there");
        assert_eq!(delivery.id(), Some(pushed.id()));
    }

    assert_eq!(shop.orders().await, 2);
}

#[tokio::test]
async fn a_job_of_a_transaction_that_is_rolled_back_was_never_there() {
    let shop = Shop::open().await;
    let job = job();
    let mut transaction = shop.begin().await;
    shop.order(&mut transaction, 1).await;
    let pushed = shop.driver.push_in(&mut transaction, &queue(), slice::from_ref(&job)).await.remove(0);
    assert_eq!(pushed.unwrap(), Pushed::Stored(job.envelope.id));

    transaction.rollback().await.unwrap();

    assert_eq!((shop.orders().await, shop.jobs().await), (0, (0, 0, 0)));
    assert_eq!(
        shop.driver.push(&queue(), slice::from_ref(&job)).await.remove(0).unwrap(),
        Pushed::Stored(job.envelope.id)
    );
}

#[tokio::test]
async fn each_job_of_a_transaction_is_answered_as_in_any_push() {
    let shop = Shop::open().await;
    let unique = |key: &str| Draft::named("ship", &1).unique(key).into_job().unwrap();
    let (here, waiting) = (unique("here"), unique("waiting"));
    shop.driver.push(&queue(), slice::from_ref(&waiting)).await.remove(0).unwrap();
    let grouped = Draft::named("ship", &1).group("g").into_job().unwrap();
    let jobs = [here.clone(), grouped, unique("here"), unique("waiting"), here.clone(), job()];

    let mut transaction = shop.begin().await;
    let answers = shop.driver.push_in(&mut transaction, &queue(), &jobs).await;
    let again = shop.driver.push_in(&mut transaction, &queue(), &jobs[..1]).await.remove(0);
    let bad_name = Draft::named("ship", &1).on_queue("").within(&shop.driver, &mut transaction).await;
    transaction.commit().await.unwrap();

    let (id, held) = (here.envelope.id, waiting.envelope.id);
    assert_eq!(answers[0].as_ref().unwrap(), &Pushed::Stored(id));
    assert!(matches!(answers[1].as_ref().unwrap_err().kind(), ErrorKind::Unsupported { .. }));
    assert_eq!(answers[2].as_ref().unwrap(), &Pushed::Duplicate(id));
    assert_eq!(answers[3].as_ref().unwrap(), &Pushed::Duplicate(held));
    assert_eq!(answers[4].as_ref().unwrap(), &Pushed::AlreadyStored(id));
    assert_eq!(answers[5].as_ref().unwrap(), &Pushed::Stored(jobs[5].envelope.id));
    assert_eq!(again.unwrap(), Pushed::AlreadyStored(id));
    assert_eq!(kind(bad_name), ErrorKind::Config);
    assert_eq!(shop.jobs().await, (3, 0, 0));
}

#[tokio::test]
async fn a_job_that_the_database_refuses_leaves_the_transaction_as_it_was() {
    let shop = Shop::open().await;
    run(
        &shop.file,
        "CREATE TRIGGER small BEFORE INSERT ON jobs WHEN length(NEW.payload) > 1000
         BEGIN SELECT RAISE(ABORT, 'too large for us'); END",
    )
    .await;
    let jobs = [10, 5_000, 10].map(|bytes| Draft::raw("x", vec![7; bytes]).into_job().unwrap());
    let mut transaction = shop.begin().await;
    shop.order(&mut transaction, 1).await;

    let answers = shop.driver.push_in(&mut transaction, &queue(), &jobs).await;

    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(answers[1].as_ref().unwrap_err().kind(), &ErrorKind::InvalidJob);
    shop.order(&mut transaction, 2).await;
    transaction.commit().await.unwrap();
    // A commit of a spoilt transaction is answered like any other, and keeps nothing.
    assert_eq!((shop.orders().await, shop.jobs().await), (2, (2, 0, 0)));
}

#[tokio::test]
async fn a_delivery_that_was_ended_in_a_committed_transaction_is_done() {
    let shop = Shop::open().await;
    let delivery = shop.taken(LEASE).await;
    let mut transaction = shop.begin().await;
    shop.order(&mut transaction, 1).await;
    shop.driver.complete_in(&mut transaction, &queue(), &delivery).await.unwrap();
    // Held by the transaction, it is neither lost nor waited for.
    assert_eq!(kind(shop.extend(&delivery).await), ErrorKind::Unavailable);

    transaction.commit().await.unwrap();

    assert_eq!((shop.orders().await, shop.jobs().await), (1, (0, 0, 0)));
    // What the lease keeper asks until the handler returns.
    shop.extend(&delivery).await.unwrap();
    assert!(shop.driver.is_current(&delivery));
    let retry = Outcome::Retry { after: Duration::ZERO, error: "too late".into() };
    shop.settle(&delivery, &Outcome::Done).await.unwrap();
    assert!(!shop.driver.is_current(&delivery));
    for outcome in [Outcome::Done, retry] {
        assert_eq!(kind(shop.settle(&delivery, &outcome).await), ErrorKind::LeaseLost);
    }
    assert_eq!(shop.jobs().await, (0, 0, 0));
}

#[tokio::test]
async fn an_outcome_that_is_not_done_changes_nothing_after_the_commit() {
    let shop = Shop::open().await;
    let error = String::from("too late");
    let release = Outcome::Release { after: Duration::ZERO };
    let retry = Outcome::Retry { after: Duration::ZERO, error: error.clone() };
    for outcome in [release, retry, Outcome::Bury { error }] {
        let delivery = shop.taken(LEASE).await;
        let mut transaction = shop.begin().await;
        shop.driver.complete_in(&mut transaction, &queue(), &delivery).await.unwrap();
        transaction.commit().await.unwrap();

        assert_eq!(kind(shop.settle(&delivery, &outcome).await), ErrorKind::LeaseLost, "{outcome:?}");
        assert_eq!(shop.jobs().await, (0, 0, 0), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_job_whose_transaction_was_rolled_back_comes_again() {
    let shop = Shop::open().await;
    let delivery = shop.taken(LEASE).await;
    let mut transaction = shop.begin().await;
    shop.driver.complete_in(&mut transaction, &queue(), &delivery).await.unwrap();
    sleep(LEASE + LEASE / 2).await;
    let subscription = shop.driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let taken = subscription.reserve(&queue(), Reserve::new(1)).await;
    assert_eq!(kind(taken), ErrorKind::Unavailable, "nobody takes it while the transaction is open");

    transaction.rollback().await.unwrap();

    let again = shop.take(&shop.driver, LEASE * 10).await.expect("it comes again");
    assert_eq!((again.id(), again.lost), (delivery.id(), 1));
    // Somebody else ends it: the first delivery's outcome counts for nothing.
    shop.settle(&again, &Outcome::Done).await.unwrap();
    assert_eq!(kind(shop.extend(&delivery).await), ErrorKind::LeaseLost);
    assert_eq!(kind(shop.settle(&delivery, &Outcome::Done).await), ErrorKind::LeaseLost);
}

#[tokio::test]
async fn a_delivery_that_is_over_is_refused_and_leaves_the_transaction_as_it_was() {
    let shop = Shop::open().await;
    let delivery = shop.taken(Duration::from_millis(1)).await;
    sleep(Duration::from_millis(5)).await;
    let again = shop.take(&shop.driver, LEASE * 10).await.expect("its lease has ended");
    let mut transaction = shop.begin().await;

    let refused = shop.driver.complete_in(&mut transaction, &queue(), &delivery).await;

    assert_eq!(kind(refused), ErrorKind::LeaseLost);
    shop.order(&mut transaction, 1).await;
    transaction.commit().await.unwrap();
    assert_eq!((shop.orders().await, shop.jobs().await), (1, (0, 1, 0)));
    shop.settle(&again, &Outcome::Done).await.unwrap();
}

#[tokio::test]
async fn a_handler_that_ends_its_job_in_its_transaction_is_reported_done() {
    let shop = Shop::open().await;
    let (driver, pool) = (shop.driver.clone(), shop.pool.clone());
    let handle = move |order: i64, cx: Context| {
        let (driver, pool) = (driver.clone(), pool.clone());
        async move {
            let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("INSERT INTO orders VALUES (?1)").bind(order).execute(&mut *transaction).await?;
            driver.complete_in(&mut transaction, cx.queue(), &cx.delivery()).await?;
            if cx.attempt() == 1 {
                transaction.rollback().await?;
                return Err(JobError::retry_after(Duration::ZERO, "the first time is for nothing"));
            }
            transaction.commit().await?;
            // Longer than the lease: the keeper finds no row.
            sleep(LEASE * 2).await;
            Ok(())
        }
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&told);
    let manager = QueueManager::new(shop.driver.clone());
    manager.push_many((0..5_i64).map(|order| Draft::named("ship", &order))).await.unwrap();

    let consumer = Consumer::builder(&manager, Handlers::new().register_named("ship", handle)).lease(LEASE);
    let consumer = consumer.on_event(move |event| match event {
        Event::Settled { outcome: Outcome::Done, .. } => events.lock().unwrap().push("done"),
        Event::LeaseLost { .. } | Event::OutcomeUnconfirmed { .. } => events.lock().unwrap().push("lost"),
        _ => {}
    });
    let drained = timeout(NOT_LATER * 2, consumer.drain()).await.expect("it comes to an end").unwrap();

    assert_eq!((drained.done, drained.retried), (5, 5));
    assert_eq!(*told.lock().unwrap(), ["done"; 5]);
    assert_eq!((shop.orders().await, shop.jobs().await), (5, (0, 0, 0)));
}
