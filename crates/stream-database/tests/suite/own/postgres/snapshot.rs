//! How fast jobs go through a queue while somebody holds an old snapshot, such as a dump.

use std::{
    slice,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use stream_core::{Draft, Driver, NewJob, Outcome, Reserve, Settlement};
use stream_database::DatabaseDriver;

use super::queue;
use crate::backends::postgres::own::Own;

const BATCH: usize = 100;

/// Pushes, takes and ends so many batches, with as many jobs waiting all the time; the time for a batch.
async fn run(driver: &DatabaseDriver, batches: u32) -> Duration {
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let begun = Instant::now();
    for _ in 0..batches {
        let jobs: Vec<NewJob> = (0..BATCH).map(|_| Draft::named("x", &1).into_job().unwrap()).collect();
        for answer in driver.push(&queue(), &jobs).await {
            answer.unwrap();
        }
        let taken = subscription.reserve(&queue(), Reserve::new(BATCH)).await.unwrap();
        assert_eq!(taken.len(), BATCH);
        let done: Vec<_> = taken.iter().map(|one| Settlement::new(one, &Outcome::Done)).collect();
        for answer in driver.settle(&queue(), &done).await {
            answer.unwrap();
        }
    }
    begun.elapsed() / batches
}

/// How much longer a batch takes at the end of a held snapshot than before it.
pub(crate) async fn slowed(own: &Own, spans: u32, batches: u32) -> f64 {
    let driver = own.migrated().await;
    let waiting: Vec<NewJob> = (0..BATCH * 10).map(|_| Draft::named("x", &1).into_job().unwrap()).collect();
    driver.push(&queue(), &waiting).await;
    run(&driver, 10).await;
    let before = run(&driver, batches).await;
    let mut holder = PgConnection::connect(&own.url).await.unwrap();
    let mut dump = holder.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    let count = format!("SELECT count(*) FROM {}jobs", own.prefix);
    let seen: i64 = sqlx::query(AssertSqlSafe(count)).fetch_one(&mut *dump).await.unwrap().get(0);
    assert!(seen > 0);
    let mut during = before;
    for _ in 0..spans {
        during = run(&driver, batches).await;
    }
    dump.rollback().await.unwrap();
    driver.close().await.unwrap();
    own.drop_tables().await;
    during.as_secs_f64() / before.as_secs_f64()
}

#[tokio::test]
async fn throughput_does_not_halve_while_a_snapshot_is_held() {
    let name = "own::postgres::snapshot::throughput_does_not_halve_while_a_snapshot_is_held";
    let Some(own) = Own::new(name) else { return };

    let slowed = slowed(&own, 1, 100).await;

    assert!(slowed < 2.0, "a batch takes {slowed:.1} times as long");
}
