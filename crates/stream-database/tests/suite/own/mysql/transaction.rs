//! Jobs and rows of the program that are committed together, or not at all.

use std::{
    slice,
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::{AssertSqlSafe, MySql, MySqlPool, Transaction};
use stream_core::{
    Consumer, Context, Delivery, Draft, Driver, ErrorKind, Event, Handlers, JobError, NewJob, Outcome,
    Pushed, QueueManager, Reserve, Result, Settlement,
};
use stream_database::{DatabaseDriver, PushWithin};
use tokio::time::{sleep, timeout};

use super::{NOT_LATER, queue};
use crate::backends::mysql::own::Own;

const LEASE: Duration = Duration::from_millis(300);

/// A program with a table of orders beside its jobs.
struct Shop {
    own: Own,
    pool: MySqlPool,
    driver: DatabaseDriver,
}

impl Shop {
    async fn open(test: &str) -> Option<Self> {
        let own = Own::new(test)?;
        let driver = own.migrated().await;
        own.run("CREATE TABLE {jobs}_orders (id bigint PRIMARY KEY)").await;
        let pool = MySqlPool::connect(&own.url).await.unwrap();
        Some(Self { own, pool, driver })
    }

    async fn order(&self, transaction: &mut Transaction<'static, MySql>, id: i64) {
        let insert = format!("INSERT INTO {}jobs_orders VALUES ({id})", self.own.prefix);
        sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut **transaction).await.unwrap();
    }

    async fn orders(&self) -> i64 {
        let count = format!("SELECT count(*) FROM {}jobs_orders", self.own.prefix);
        sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&self.pool).await.unwrap()
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

    async fn close(self) {
        self.pool.close().await;
        self.own.run("DROP TABLE {jobs}_orders").await;
        self.own.drop_tables().await;
    }
}

fn job() -> NewJob {
    Draft::named("ship", &1).into_job().unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind().clone()
}

#[tokio::test]
async fn a_job_of_a_transaction_is_there_when_that_is_committed() {
    let name = "own::mysql::transaction::a_job_of_a_transaction_is_there_when_that_is_committed";
    let Some(shop) = Shop::open(name).await else { return };
    let manager = QueueManager::new(shop.driver.clone());
    let mut transaction = shop.pool.begin().await.unwrap();
    shop.order(&mut transaction, 1).await;
    let push = manager.push(Draft::named("ship", &1)).on_queue("default");
    let pushed = push.within(&shop.driver, &mut transaction).await.unwrap();
    assert_eq!(shop.jobs().await.0, 0, "nobody sees it before the commit");

    transaction.commit().await.unwrap();

    assert_eq!(shop.orders().await, 1);
    assert_eq!(shop.take(&shop.driver, LEASE).await.unwrap().id(), Some(pushed.id()));
    shop.close().await;
}

#[tokio::test]
async fn a_transaction_that_sees_the_past_is_told_what_is_in_the_way_now() {
    let name = "own::mysql::transaction::a_transaction_that_sees_the_past_is_told_what_is_in_the_way_now";
    let Some(shop) = Shop::open(name).await else { return };
    let [first, second] =
        [1, 2].map(|number| Draft::named("ship", &number).unique("order").into_job().unwrap());
    let mut transaction = shop.pool.begin().await.unwrap();
    let count = format!("SELECT COUNT(*) FROM {}jobs", shop.own.prefix);
    let seen: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut *transaction).await.unwrap();
    shop.driver.push(&queue(), slice::from_ref(&first)).await.remove(0).unwrap();

    let jobs = [first.clone(), second];
    let answers = shop.driver.push_in(&mut transaction, &queue(), &jobs).await;
    transaction.commit().await.unwrap();

    assert_eq!(seen, 0);
    assert_eq!(answers[0].as_ref().unwrap(), &Pushed::AlreadyStored(first.envelope.id));
    assert_eq!(answers[1].as_ref().unwrap(), &Pushed::Duplicate(first.envelope.id));
    shop.close().await;
}

#[tokio::test]
async fn a_job_of_a_transaction_that_is_rolled_back_was_never_there() {
    let name = "own::mysql::transaction::a_job_of_a_transaction_that_is_rolled_back_was_never_there";
    let Some(shop) = Shop::open(name).await else { return };
    let job = job();
    let mut transaction = shop.pool.begin().await.unwrap();
    shop.order(&mut transaction, 1).await;
    let pushed = shop.driver.push_in(&mut transaction, &queue(), slice::from_ref(&job)).await.remove(0);
    assert_eq!(pushed.unwrap(), Pushed::Stored(job.envelope.id));

    transaction.rollback().await.unwrap();

    assert_eq!((shop.orders().await, shop.jobs().await), (0, (0, 0, 0)));
    assert_eq!(
        shop.driver.push(&queue(), slice::from_ref(&job)).await.remove(0).unwrap(),
        Pushed::Stored(job.envelope.id)
    );
    shop.close().await;
}

#[tokio::test]
async fn each_job_of_a_transaction_is_answered_as_in_any_push() {
    let name = "own::mysql::transaction::each_job_of_a_transaction_is_answered_as_in_any_push";
    let Some(shop) = Shop::open(name).await else { return };
    let unique = |key: &str| Draft::named("ship", &1).unique(key).into_job().unwrap();
    let (here, waiting) = (unique("here"), unique("waiting"));
    shop.driver.push(&queue(), slice::from_ref(&waiting)).await.remove(0).unwrap();
    let grouped = Draft::named("ship", &1).group("g").into_job().unwrap();
    let jobs = [here.clone(), grouped, unique("here"), unique("waiting"), here.clone(), job()];

    let mut transaction = shop.pool.begin().await.unwrap();
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
    shop.close().await;
}

#[tokio::test]
async fn a_job_that_the_database_refuses_leaves_the_transaction_as_it_was() {
    let name = "own::mysql::transaction::a_job_that_the_database_refuses_leaves_the_transaction_as_it_was";
    let Some(shop) = Shop::open(name).await else { return };
    shop.own.run("ALTER TABLE {jobs} ADD CHECK (LENGTH(payload) < 1000)").await;
    let jobs = [10, 5_000, 10].map(|bytes| Draft::raw("x", vec![7; bytes]).into_job().unwrap());
    let mut transaction = shop.pool.begin().await.unwrap();
    shop.order(&mut transaction, 1).await;

    let answers = shop.driver.push_in(&mut transaction, &queue(), &jobs).await;

    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(answers[1].as_ref().unwrap_err().kind(), &ErrorKind::InvalidJob);
    shop.order(&mut transaction, 2).await;
    transaction.commit().await.unwrap();
    // A commit of a spoilt transaction is answered like any other, and keeps nothing.
    assert_eq!((shop.orders().await, shop.jobs().await), (2, (2, 0, 0)));
    shop.close().await;
}

#[tokio::test]
async fn a_delivery_that_was_ended_in_a_committed_transaction_is_done() {
    let name = "own::mysql::transaction::a_delivery_that_was_ended_in_a_committed_transaction_is_done";
    let Some(shop) = Shop::open(name).await else { return };
    let delivery = shop.taken(LEASE).await;
    let mut transaction = shop.pool.begin().await.unwrap();
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
    shop.close().await;
}

#[tokio::test]
async fn an_outcome_that_is_not_done_changes_nothing_after_the_commit() {
    let name = "own::mysql::transaction::an_outcome_that_is_not_done_changes_nothing_after_the_commit";
    let Some(shop) = Shop::open(name).await else { return };
    let error = String::from("too late");
    let release = Outcome::Release { after: Duration::ZERO };
    let retry = Outcome::Retry { after: Duration::ZERO, error: error.clone() };
    for outcome in [release, retry, Outcome::Bury { error }] {
        let delivery = shop.taken(LEASE).await;
        let mut transaction = shop.pool.begin().await.unwrap();
        shop.driver.complete_in(&mut transaction, &queue(), &delivery).await.unwrap();
        transaction.commit().await.unwrap();

        assert_eq!(kind(shop.settle(&delivery, &outcome).await), ErrorKind::LeaseLost, "{outcome:?}");
        assert_eq!(shop.jobs().await, (0, 0, 0), "{outcome:?}");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_job_whose_transaction_was_rolled_back_comes_again() {
    let name = "own::mysql::transaction::a_job_whose_transaction_was_rolled_back_comes_again";
    let Some(shop) = Shop::open(name).await else { return };
    let delivery = shop.taken(LEASE).await;
    let mut transaction = shop.pool.begin().await.unwrap();
    shop.driver.complete_in(&mut transaction, &queue(), &delivery).await.unwrap();
    sleep(LEASE + LEASE / 2).await;
    assert!(shop.take(&shop.driver, LEASE).await.is_none(), "nobody takes it while the transaction is open");

    transaction.rollback().await.unwrap();

    let again = shop.take(&shop.driver, LEASE * 10).await.expect("it comes again");
    assert_eq!((again.id(), again.lost), (delivery.id(), 1));
    // Somebody else ends it: the first delivery's outcome counts for nothing.
    shop.settle(&again, &Outcome::Done).await.unwrap();
    assert_eq!(kind(shop.extend(&delivery).await), ErrorKind::LeaseLost);
    assert_eq!(kind(shop.settle(&delivery, &Outcome::Done).await), ErrorKind::LeaseLost);
    shop.close().await;
}

#[tokio::test]
async fn a_delivery_that_is_over_is_refused_and_leaves_the_transaction_as_it_was() {
    let name =
        "own::mysql::transaction::a_delivery_that_is_over_is_refused_and_leaves_the_transaction_as_it_was";
    let Some(shop) = Shop::open(name).await else { return };
    let delivery = shop.taken(Duration::from_millis(1)).await;
    sleep(Duration::from_millis(5)).await;
    let again = shop.take(&shop.driver, LEASE * 10).await.expect("its lease has ended");
    let mut transaction = shop.pool.begin().await.unwrap();

    let refused = shop.driver.complete_in(&mut transaction, &queue(), &delivery).await;

    assert_eq!(kind(refused), ErrorKind::LeaseLost);
    shop.order(&mut transaction, 1).await;
    transaction.commit().await.unwrap();
    assert_eq!((shop.orders().await, shop.jobs().await), (1, (0, 1, 0)));
    shop.settle(&again, &Outcome::Done).await.unwrap();
    shop.close().await;
}

#[tokio::test]
async fn a_handler_that_ends_its_job_in_its_transaction_is_reported_done() {
    let name = "own::mysql::transaction::a_handler_that_ends_its_job_in_its_transaction_is_reported_done";
    let Some(shop) = Shop::open(name).await else { return };
    let (driver, pool) = (shop.driver.clone(), shop.pool.clone());
    let insert = format!("INSERT INTO {}jobs_orders VALUES (?)", shop.own.prefix);
    let handle = move |order: i64, cx: Context| {
        let (driver, pool, insert) = (driver.clone(), pool.clone(), insert.clone());
        async move {
            let mut transaction = pool.begin().await?;
            sqlx::query(AssertSqlSafe(insert)).bind(order).execute(&mut *transaction).await?;
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
    shop.close().await;
}
