//! What a reserve costs: rows that it does not return are not read, and not hidden from others.

use std::slice;

use sqlx::{MySqlPool, Row as _, mysql::MySqlPoolOptions};
use stream_core::{Driver, QueueName, Reserve};
use stream_database::DatabaseDriver;

use super::{LONG, Own, job, queue};

/// Rows that the connection has read by any index so far.
async fn rows_read(pool: &MySqlPool) -> u64 {
    let rows = sqlx::query("SHOW SESSION STATUS LIKE 'Handler_read%'").fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(1).parse::<u64>().unwrap()).sum()
}

/// Ten thousand rows each that are less urgent, that wait for their time, and that are of other queues.
async fn crowd(own: &Own) {
    for (queue, priority, wait) in [("default", 3, 0), ("default", 1, 3_600), ("crowd", 0, 0)] {
        let insert = format!(
            "INSERT INTO {{jobs}} (id, queue, payload, priority, available_at)
             WITH RECURSIVE numbers (number) AS (
                 SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 1000
             )
             SELECT UNHEX(REPLACE(UUID(), '-', '')), '{queue}', 'x', {priority},
                    UTC_TIMESTAMP(6) + INTERVAL {wait} SECOND
             FROM numbers CROSS JOIN (SELECT number FROM numbers WHERE number <= 10) AS tens"
        );
        own.run(&insert).await;
    }
}

#[tokio::test]
async fn a_reserve_reads_no_row_that_is_delayed_or_less_urgent() {
    let Some(own) = Own::new("own::mysql::cost::a_reserve_reads_no_row_that_is_delayed_or_less_urgent")
    else {
        return;
    };
    let pool = MySqlPoolOptions::new().max_connections(1).connect(&own.url).await.unwrap();
    let driver = DatabaseDriver::from_pool(pool.clone(), own.config()).await.unwrap();
    driver.migrate().await.unwrap();
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let mut costs = Vec::new();
    for is_crowded in [false, true] {
        if is_crowded {
            crowd(&own).await;
        }
        driver.push(&queue(), &[job(), job(), job()]).await;
        let before = rows_read(&pool).await;
        let taken = subscription.reserve(&queue(), Reserve::new(2).lease(LONG)).await.unwrap();
        let ready = subscription.ready(std::time::Duration::ZERO).await.unwrap();
        costs.push(rows_read(&pool).await - before);

        assert_eq!((taken.len(), ready), (2, vec![queue()]));
        driver.clear(&queue()).await.unwrap();
    }

    // A few dozen more candidates are looked at than are taken.
    assert!(costs[1] < costs[0] + 100, "{costs:?}");
    pool.close().await;
    own.drop_tables().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_hides_no_job_of_another_queue() {
    let Some(own) = Own::new("own::mysql::cost::a_reserve_hides_no_job_of_another_queue") else { return };
    let driver = own.migrated().await;
    let next = QueueName::new("default-2").unwrap();
    let other = own.connect().await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_stopped = std::sync::Arc::clone(&stop);
    // Whose range ends where the next queue begins.
    let neighbour = tokio::spawn(async move {
        let subscription = other.subscribe(slice::from_ref(&queue())).await.unwrap();
        while !is_stopped.load(std::sync::atomic::Ordering::Relaxed) {
            other.push(&queue(), &[job()]).await.remove(0).unwrap();
            assert_eq!(subscription.reserve(&queue(), Reserve::new(10).lease(LONG)).await.unwrap().len(), 1);
        }
        other.close().await.unwrap();
    });

    let subscription = driver.subscribe(slice::from_ref(&next)).await.unwrap();
    for round in 0..300 {
        driver.push(&next, &[job()]).await.remove(0).unwrap();
        let taken = subscription.reserve(&next, Reserve::new(1).lease(LONG)).await.unwrap();
        assert_eq!(taken.len(), 1, "round {round}");
    }

    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    neighbour.await.unwrap();
    own.drop_tables().await;
}
