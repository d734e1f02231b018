//! A long backlog: what is urgent is taken at once, and what is counted is exact.

use std::{collections::HashSet, slice, time::Instant};

use sqlx::{Connection, SqliteConnection};
use stream_core::{Draft, Driver, JobId, NewJob, Outcome, Reserve, Settlement};

use super::{NOT_LATER, queue};
use crate::backends::sqlite::File;

const URGENT: usize = 200;
const BATCH: usize = 50;

/// Jobs are worked before so many that are less urgent, and beside as many that are more so and delayed.
pub(crate) async fn urgent_jobs_are_taken_before(waiting: u32) {
    let file = File::new();
    let driver = file.migrated().await;
    fill(&file, waiting).await;
    let jobs: Vec<NewJob> = (0..URGENT).map(|n| Draft::named("x", &n).into_job().unwrap()).collect();
    driver.push(&queue(), &jobs).await.into_iter().for_each(|pushed| assert!(pushed.is_ok()));
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();

    let mut taken = HashSet::new();
    for _ in 0..URGENT / BATCH {
        let begun = Instant::now();
        let deliveries = subscription.reserve(&queue(), Reserve::new(BATCH)).await.unwrap();
        assert!(begun.elapsed() < NOT_LATER, "a reserve took {:?}", begun.elapsed());
        taken.extend(deliveries.iter().map(|delivery| delivery.id().unwrap()));
        let done: Vec<_> = deliveries.iter().map(|it| Settlement::new(it, &Outcome::Done)).collect();
        driver.settle(&queue(), &done).await.into_iter().for_each(Result::unwrap);
    }

    let pushed: HashSet<JobId> = jobs.iter().map(|job| job.envelope.id).collect();
    assert_eq!(taken, pushed);
    let depth = driver.depth(&queue()).await.unwrap();
    assert_eq!((depth.ready, depth.delayed, depth.reserved), (waiting.into(), waiting.into(), 0));
    assert_eq!(driver.clear(&queue()).await.unwrap().waiting, Some(2 * u64::from(waiting)));
}

/// As many low jobs that are ready, as critical ones that are due in an hour.
async fn fill(file: &File, waiting: u32) {
    let mut connection = SqliteConnection::connect(&file.url()).await.unwrap();
    let fill = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
                INSERT INTO jobs (id, queue, payload, priority, available_at)
                SELECT randomblob(16), 'default', zeroblob(200), kind.priority, unixepoch() * 1000000 + kind.wait
                FROM n CROSS JOIN (SELECT 0 AS priority, 3600000000 AS wait UNION ALL SELECT 3, 0) AS kind";
    sqlx::query(fill).bind(waiting).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn urgent_jobs_are_taken_before_ten_thousand_others() {
    urgent_jobs_are_taken_before(5_000).await;
}
