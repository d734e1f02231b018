//! A file that is locked, full, read only, removed, or no database: nothing lost, and it goes on by itself.

use std::{fmt::Debug, fs, slice, time::Duration};

use sqlx::{
    Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use stream_core::{
    Draft, Driver, ErrorKind, NewJob, Outcome, Pushed, QueueName, Reserve, Result, Settlement,
};
use stream_database::{DatabaseConfig, DatabaseDriver};
use tokio::{join, runtime::Runtime, time::timeout};

use crate::backends::sqlite::File;

/// A call waits for a lock half as long.
const CALL: Duration = Duration::from_millis(600);
const NOT_LATER: Duration = Duration::from_secs(5);

fn queue() -> QueueName {
    QueueName::new("default").unwrap()
}

fn job() -> NewJob {
    Draft::named("x", &1).into_job().unwrap()
}

fn large_job() -> NewJob {
    Draft::raw("x", vec![7; 100_000]).into_job().unwrap()
}

async fn push(driver: &DatabaseDriver, job: &NewJob) -> Result<Pushed> {
    driver.push(&queue(), slice::from_ref(job)).await.remove(0)
}

fn kind<T: Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind().clone()
}

/// Takes and finishes up to so many jobs; how many there were.
async fn work(driver: &DatabaseDriver, most: usize) -> usize {
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let taken = subscription.reserve(&queue(), Reserve::new(most)).await.unwrap();
    let done: Vec<_> = taken.iter().map(|delivery| Settlement::new(delivery, &Outcome::Done)).collect();
    driver.settle(&queue(), &done).await.into_iter().for_each(Result::unwrap);
    taken.len()
}

#[tokio::test]
async fn a_locked_file_is_unavailable_for_changes_alone_and_works_when_it_is_free() {
    let file = File::new();
    file.migrated().await;
    let driver = file.connect(DatabaseConfig::new().call_timeout(CALL)).await;
    let (stored, refused) = (job(), job());
    push(&driver, &stored).await.unwrap();
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let delivery = subscription.reserve(&queue(), Reserve::new(1)).await.unwrap().remove(0);
    let mut other = SqliteConnection::connect(&file.url()).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();

    let error = push(&driver, &refused).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("another process holds the lock"), "{error}");
    let settlement = [Settlement::new(&delivery, &Outcome::Done)];
    let queue = queue();
    let held = [&delivery];
    let (settled, extended) =
        join!(driver.settle(&queue, &settlement), driver.extend(&queue, &held, Duration::from_secs(30)),);
    assert_eq!(kind(settled.into_iter().next().unwrap()), ErrorKind::Unavailable);
    assert_eq!(kind(extended.into_iter().next().unwrap()), ErrorKind::Unavailable);
    // Readers do not wait for the writer.
    assert_eq!(driver.depth(&queue).await.unwrap().reserved, 1);

    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    driver.settle(&queue, &settlement).await.remove(0).unwrap();
    assert_eq!(push(&driver, &refused).await.unwrap(), Pushed::Stored(refused.envelope.id));
    assert_eq!(work(&driver, 10).await, 1);
}

#[tokio::test]
async fn a_change_waits_for_a_lock_that_is_held_for_a_moment() {
    let file = File::new();
    let driver = file.migrated().await;
    let mut other = SqliteConnection::connect(&file.url()).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();

    let (pushed, ()) = join!(
        async { timeout(NOT_LATER, push(&driver, &job())).await.expect("the lock came free") },
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            sqlx::query("COMMIT").execute(&mut other).await.unwrap();
        }
    );

    pushed.unwrap();
}

#[tokio::test]
async fn a_full_file_refuses_what_it_cannot_take_and_goes_on_when_there_is_room() {
    let file = File::new();
    file.migrated().await.close().await.unwrap();
    let mut other = SqliteConnection::connect(&file.url()).await.unwrap();
    let ballast = "CREATE TABLE ballast (sand BLOB); INSERT INTO ballast VALUES (zeroblob(400000))";
    sqlx::raw_sql(ballast).execute(&mut other).await.unwrap();
    let options = SqliteConnectOptions::new().filename(file.path()).pragma("max_page_count", "300");
    let options = options.journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new().max_connections(3).connect_with(options).await.unwrap();
    let driver = DatabaseDriver::from_pool(pool, DatabaseConfig::new()).await.unwrap();
    let mut stored = 0;
    let error = loop {
        match push(&driver, &large_job()).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    assert!(stored > 3, "{stored}");

    // What fits is stored, in the same moment as what does not.
    let large = large_job();
    let small: Vec<NewJob> = (0..4).map(|_| job()).collect();
    let (refused, a, b, c, d) = join!(
        push(&driver, &large),
        push(&driver, &small[0]),
        push(&driver, &small[1]),
        push(&driver, &small[2]),
        push(&driver, &small[3]),
    );
    assert_eq!(kind(refused), ErrorKind::Unavailable);
    for pushed in [a, b, c, d] {
        pushed.unwrap();
    }
    assert_eq!(driver.depth(&queue()).await.unwrap().ready, stored + 4);

    sqlx::raw_sql("DROP TABLE ballast").execute(&mut other).await.unwrap();
    push(&driver, &large).await.unwrap();
    assert_eq!(work(&driver, 100).await as u64, stored + 5);
}

#[tokio::test]
async fn a_file_that_may_only_be_read_is_told_so_and_can_be_looked_at() {
    let file = File::new();
    let owner = file.migrated().await;
    push(&owner, &job()).await.unwrap();
    let url = format!("{}?mode=ro", file.url());
    let reader = DatabaseDriver::connect(&url).await.unwrap();

    let error = push(&reader, &job()).await.unwrap_err();

    assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("read only"), "{error}");
    assert_eq!(reader.depth(&queue()).await.unwrap().ready, 1);
    assert_eq!(reader.migrate().await.unwrap(), 1);
    let findings = reader.check().await.unwrap();
    assert!(findings.len() == 1 && findings[0].severe, "{findings:?}");
    assert!(findings[0].what.contains("read only"), "{findings:?}");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named_and_used_once_it_is() {
    let file = File::new();
    let directory = file.directory.join("later");
    let url = format!("sqlite:{}", directory.join("jobs.db").display());
    let driver = DatabaseDriver::connect(&url).await.unwrap();

    for error in [push(&driver, &job()).await.unwrap_err(), driver.depth(&queue()).await.unwrap_err()] {
        assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("directory"), "{error}");
    }

    fs::create_dir(&directory).unwrap();
    driver.migrate().await.unwrap();
    push(&driver, &job()).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let file = File::new();
    let text = "This is a letter to my grandmother, and no database at all. ".repeat(100);
    fs::write(file.path(), &text).unwrap();
    let driver = file.connect(DatabaseConfig::new()).await;

    for error in [driver.migrate().await.unwrap_err(), push(&driver, &job()).await.unwrap_err()] {
        assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("no database"), "{error}");
    }

    assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
    fs::remove_file(file.path()).unwrap();
    driver.migrate().await.unwrap();
    push(&driver, &job()).await.unwrap();
}

/// A file that is removed can still be written to by whoever has it open: such a push is on no disk.
#[cfg(unix)]
#[tokio::test]
async fn a_push_into_a_file_that_was_removed_is_not_acknowledged() {
    let file = File::new();
    let driver = file.migrated().await;
    let job = job();
    push(&driver, &job).await.unwrap();
    assert_eq!(driver.depth(&queue()).await.unwrap().ready, 1);
    for end in ["", "-wal", "-shm"] {
        fs::remove_file(format!("{}{end}", file.path().display())).unwrap();
    }

    assert_eq!(kind(push(&driver, &job).await), ErrorKind::OutcomeUnknown);
    // From then on there is the file that others see, and it has no tables.
    assert_eq!(kind(push(&driver, &job).await), ErrorKind::Config);
    assert_eq!(kind(driver.depth(&queue()).await), ErrorKind::Config);

    assert_eq!(driver.migrate().await.unwrap(), 0);
    assert_eq!(push(&driver, &job).await.unwrap(), Pushed::Stored(job.envelope.id));
    assert_eq!(driver.depth(&queue()).await.unwrap().ready, 1);
    assert_eq!(work(&driver, 10).await, 1);
}

#[test]
fn a_driver_outlives_the_runtime_that_it_was_made_on() {
    let file = File::new();
    let first = Runtime::new().unwrap();
    let driver = first.block_on(file.migrated());
    first.block_on(push(&driver, &job())).unwrap();
    // Many calls are on their way when the runtime ends.
    for _ in 0..50 {
        let driver = driver.clone();
        first.spawn(async move { push(&driver, &job()).await });
    }
    first.shutdown_background();

    let second = Runtime::new().unwrap();
    second.block_on(async {
        let pushed = timeout(NOT_LATER, push(&driver, &job())).await.expect("it does not hang");
        // The change of another runtime may just have been undone with it.
        if let Err(error) = pushed {
            assert!(error.is_transient(), "{error}");
            timeout(NOT_LATER, push(&driver, &job())).await.expect("it does not hang").unwrap();
        }
        assert!(work(&driver, 100).await >= 2);
    });
}
