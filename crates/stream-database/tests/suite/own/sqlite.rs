//! What SQLite's own ways ask for: processes that share a file, one writer, pools, plans.

mod plans;
mod processes;
mod transaction;

use std::{slice, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use stream_core::{Draft, Driver, ErrorKind, NewJob, QueueName, Reserve, Subscription};
use stream_database::{DatabaseConfig, DatabaseDriver, Notifications};
use tokio::{
    join,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::backends::sqlite::File;

const NOT_LATER: Duration = Duration::from_secs(5);
/// Longer than a test may take: who answers sooner was told, or has looked again.
const LONG: Duration = Duration::from_secs(60);
/// `ready` has looked by then, and waits; if it has not, a test proves less and fails no sooner.
const LOOKED: Duration = Duration::from_millis(300);

fn queue() -> QueueName {
    QueueName::new("default").unwrap()
}

fn job() -> NewJob {
    Draft::named("x", &1).into_job().unwrap()
}

async fn run(file: &File, sql: &'static str) {
    let mut connection = SqliteConnection::connect(&file.url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn missing_tables_are_named_with_what_repairs_them() {
    let file = File::new();
    let driver = file.connect(DatabaseConfig::new()).await;

    assert_eq!(driver.depth(&queue()).await.unwrap_err().kind(), &ErrorKind::Config);
    let findings = format!("{:?}", driver.check().await.unwrap());
    assert!(findings.contains("migrate"), "{findings}");

    assert_eq!(driver.migrate().await.unwrap(), 0);
    assert_eq!(driver.migrate().await.unwrap(), 1);
    assert_eq!(driver.depth(&queue()).await.unwrap().ready, 0);
    assert_eq!(driver.check().await.unwrap(), []);
}

#[tokio::test]
async fn a_push_waits_for_the_disk_also_after_a_reserve_that_does_not() {
    let file = File::new();
    let driver = file.migrated().await;
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    for _ in 0..2 {
        subscription.reserve(&queue(), Reserve::new(1)).await.unwrap();
        driver.push(&queue(), &[job()]).await.remove(0).unwrap();
        // What `check` judges is the connection that writes, as the push has left it.
        assert_eq!(driver.check().await.unwrap(), []);
        // As a transaction of several calls begins.
        subscription.reserve(&queue(), Reserve::new(1)).await.unwrap();
        assert_eq!(driver.check().await.unwrap(), []);
    }
}

#[tokio::test]
async fn many_programs_may_migrate_at_once() {
    let file = File::new();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let driver = file.connect(DatabaseConfig::new()).await;
        tasks.push(tokio::spawn(async move { driver.migrate().await.unwrap() }));
    }
    let mut before = Vec::new();
    for task in tasks {
        before.push(task.await.unwrap());
    }

    assert_eq!(before.iter().filter(|version| **version == 0).count(), 1, "{before:?}");
}

#[tokio::test]
async fn the_migrations_can_be_run_by_hand() {
    let file = File::new();
    let driver = file.connect(DatabaseConfig::new().prefix("shop_")).await;
    let script = driver.migrations();
    let mut connection = SqliteConnection::connect(&format!("{}?mode=rwc", file.url())).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    driver.push(&queue(), &[job()]).await.remove(0).unwrap();
}

#[tokio::test]
async fn what_no_file_can_keep_is_refused() {
    for url in ["sqlite::memory:", "sqlite:", "sqlite://", "sqlite:jobs?mode=memory", "sqlite:jobs?mode=odd"]
    {
        let error = DatabaseDriver::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Config, "{url}: {error}");
    }
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    let error = DatabaseDriver::from_pool(pool, DatabaseConfig::new()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config, "{error}");

    let file = File::new();
    let error = DatabaseDriver::connect_with(&file.url(), DatabaseConfig::new().schema("work")).await;
    assert_eq!(error.unwrap_err().kind(), &ErrorKind::Config);
}

/// Waits at the queue in the background, once nothing is to be heard of it any more.
async fn wait_for_work(subscription: Box<dyn Subscription>) -> JoinHandle<Vec<QueueName>> {
    // Who begins to watch wakes everybody, since something may have happened before.
    while !subscription.ready(LOOKED).await.unwrap().is_empty() {}
    let waiting = tokio::spawn(async move { subscription.ready(LONG).await.unwrap() });
    sleep(LOOKED).await;
    assert!(!waiting.is_finished());
    waiting
}

async fn push_is_found(config: DatabaseConfig) {
    let file = File::new();
    let pusher = file.migrated().await;
    let worker = file.connect(config).await;
    let subscription = worker.subscribe(slice::from_ref(&queue())).await.unwrap();
    let waiting = wait_for_work(subscription).await;

    pusher.push(&queue(), &[job()]).await.remove(0).unwrap();

    assert_eq!(timeout(NOT_LATER, waiting).await.expect("the push is found").unwrap(), [queue()]);
}

#[tokio::test]
async fn a_push_by_others_is_noticed_without_a_look() {
    push_is_found(DatabaseConfig::new().poll_intervals(LONG, LONG)).await;
}

#[tokio::test]
async fn without_notifications_a_push_by_others_is_found() {
    push_is_found(DatabaseConfig::new().notifications(Notifications::Off)).await;
}

#[tokio::test]
async fn a_job_that_others_push_for_later_is_taken_on_time() {
    let file = File::new();
    let pusher = file.migrated().await;
    let worker = file.connect(DatabaseConfig::new().poll_intervals(LONG, LONG)).await;
    let subscription = worker.subscribe(slice::from_ref(&queue())).await.unwrap();
    let waiting = tokio::spawn(async move {
        loop {
            subscription.ready(LONG).await.unwrap();
            let taken = subscription.reserve(&queue(), Reserve::new(1)).await.unwrap();
            if !taken.is_empty() {
                return taken.len();
            }
        }
    });
    sleep(LOOKED).await;

    let later = Draft::named("x", &1).delay(Duration::from_millis(200)).into_job().unwrap();
    pusher.push(&queue(), &[later]).await.remove(0).unwrap();

    assert_eq!(timeout(NOT_LATER, waiting).await.expect("it is taken").unwrap(), 1);
}

#[tokio::test]
async fn a_process_is_not_woken_by_its_own_changes() {
    let file = File::new();
    let driver = file.migrated().await;
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let waiting = wait_for_work(subscription).await;

    let other = QueueName::new("other").unwrap();
    driver.push(&other, &[job()]).await.remove(0).unwrap();

    sleep(LOOKED).await;
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn a_driver_on_the_programs_pool_leaves_it_open() {
    let file = File::new();
    file.migrated().await.close().await.unwrap();
    // One connection is enough: nothing is kept of it between two calls.
    let options = SqliteConnectOptions::new().filename(file.path());
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let driver = DatabaseDriver::from_pool(pool.clone(), DatabaseConfig::new()).await.unwrap();
    driver.push(&queue(), &[job(), job()]).await.remove(1).unwrap();
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    assert_eq!(subscription.reserve(&queue(), Reserve::new(2)).await.unwrap().len(), 2);

    driver.close().await.unwrap();

    assert_eq!(driver.depth(&queue()).await.unwrap_err().kind(), &ErrorKind::Unavailable);
    assert!(!pool.is_closed());
    pool.acquire().await.unwrap();
}

#[tokio::test]
async fn a_pool_whose_settings_can_lose_jobs_is_told_so() {
    let file = File::new();
    file.migrated().await.close().await.unwrap();
    let options = SqliteConnectOptions::new().filename(file.path());
    let options = options.synchronous(SqliteSynchronous::Normal).journal_mode(SqliteJournalMode::Delete);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let driver = DatabaseDriver::from_pool(pool, DatabaseConfig::new()).await.unwrap();

    let findings = driver.check().await.unwrap();

    assert_eq!(findings.iter().map(|finding| finding.severe).collect::<Vec<_>>(), [false, true]);
    let findings = format!("{findings:?}");
    for what in ["journal of the file is `delete`", "synchronous is below FULL"] {
        assert!(findings.contains(what), "{findings}");
    }
}

#[tokio::test]
async fn a_row_that_the_database_refuses_names_itself_and_harms_no_neighbour() {
    let file = File::new();
    let driver = file.migrated().await;
    run(
        &file,
        "CREATE TRIGGER small BEFORE INSERT ON jobs WHEN length(NEW.payload) > 1000
         BEGIN SELECT RAISE(ABORT, 'too large for us'); END",
    )
    .await;
    let jobs = [10, 5_000, 10].map(|bytes| Draft::raw("x", vec![7; bytes]).into_job().unwrap());

    let answers = driver.push(&queue(), &jobs).await;

    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(answers[1].as_ref().unwrap_err().kind(), &ErrorKind::InvalidJob);
    let error = answers[1].as_ref().unwrap_err().to_string();
    assert!(error.contains(&jobs[1].envelope.id.to_string()), "{error}");
    assert_eq!(driver.depth(&queue()).await.unwrap().ready, 2);
}

/// Calls that came together share a transaction, whatever becomes of each.
async fn refused_among_others(trigger: &'static str) {
    let file = File::new();
    let driver = file.migrated().await;
    run(&file, trigger).await;
    for _ in 0..10 {
        let before = driver.depth(&queue()).await.unwrap().ready;
        let bad = Draft::raw("x", vec![7; 5_000]).into_job().unwrap();
        let good = [job(), job(), job(), job()];
        let queue = queue();
        let bad = slice::from_ref(&bad);
        let (a, b, refused, c, d) = join!(
            driver.push(&queue, &good[..1]),
            driver.push(&queue, &good[1..2]),
            driver.push(&queue, bad),
            driver.push(&queue, &good[2..3]),
            driver.push(&queue, &good[3..]),
        );
        assert_eq!(refused[0].as_ref().unwrap_err().kind(), &ErrorKind::InvalidJob);
        for pushed in [a, b, c, d] {
            pushed[0].as_ref().unwrap();
        }
        assert_eq!(driver.depth(&queue).await.unwrap().ready, before + 4);
    }
}

#[tokio::test]
async fn a_call_that_is_refused_takes_none_with_it_that_came_with_it() {
    refused_among_others(
        "CREATE TRIGGER small BEFORE INSERT ON jobs WHEN length(NEW.payload) > 1000
         BEGIN SELECT RAISE(ABORT, 'too large for us'); END",
    )
    .await;
}

#[tokio::test]
async fn a_trigger_that_ends_the_transaction_takes_no_other_call_with_it() {
    refused_among_others(
        "CREATE TRIGGER small BEFORE INSERT ON jobs WHEN length(NEW.payload) > 1000
         BEGIN SELECT RAISE(ROLLBACK, 'too large for us'); END",
    )
    .await;
}

#[tokio::test]
async fn a_burial_that_is_refused_leaves_its_job() {
    let file = File::new();
    let driver = file.migrated().await;
    driver.push(&queue(), &[job()]).await.remove(0).unwrap();
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let delivery = subscription.reserve(&queue(), Reserve::new(1)).await.unwrap().remove(0);
    // The letter is written by then: it has to go again.
    run(&file, "CREATE TRIGGER keep BEFORE DELETE ON jobs BEGIN SELECT RAISE(ABORT, 'it stays'); END").await;

    let outcome = stream_core::Outcome::Bury { error: "hopeless".into() };
    let settlement = [stream_core::Settlement::new(&delivery, &outcome)];
    let queue = queue();
    let good = [job()];
    let (settled, pushed) = join!(driver.settle(&queue, &settlement), driver.push(&queue, &good));

    settled[0].as_ref().unwrap_err();
    pushed[0].as_ref().unwrap();
    let depth = driver.depth(&queue).await.unwrap();
    assert_eq!((depth.ready, depth.reserved, depth.dead), (1, 1, Some(0)));
}
