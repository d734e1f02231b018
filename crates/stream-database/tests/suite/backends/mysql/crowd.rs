//! What a reserve reads while many rows wait that are not for it.

use std::{slice, time::Duration};

use sqlx::{MySqlPool, Row as _, mysql::MySqlPoolOptions};
use stream_core::{Draft, Driver, QueueName, Reserve};
use stream_database::DatabaseDriver;

use super::own::Own;

/// Rows that a reserve of two jobs and a look read, first with three jobs in the store, then with as many
/// more as `rows` says that are less urgent, that wait for their time, and that are of another queue.
pub(crate) async fn reserves_alone_and_in_a_crowd(own: &Own, rows: usize) -> [u64; 2] {
    let queue = QueueName::new("default").unwrap();
    let pool = MySqlPoolOptions::new().max_connections(1).connect(&own.url).await.unwrap();
    let driver = DatabaseDriver::from_pool(pool.clone(), own.config()).await.unwrap();
    driver.migrate().await.unwrap();
    let subscription = driver.subscribe(slice::from_ref(&queue)).await.unwrap();
    let mut costs = [0, 0];
    for (is_crowded, cost) in [false, true].into_iter().zip(&mut costs) {
        if is_crowded {
            crowd(own, rows).await;
        }
        let jobs = [1, 2, 3].map(|number| Draft::named("x", &number).into_job().unwrap());
        driver.push(&queue, &jobs).await;
        let before = rows_read(&pool).await;
        let request = Reserve::new(2).lease(Duration::from_secs(600));
        let taken = subscription.reserve(&queue, request).await.unwrap();
        let ready = subscription.ready(Duration::ZERO).await.unwrap();
        *cost = rows_read(&pool).await - before;

        assert_eq!(taken.len(), 2);
        assert_eq!(ready, slice::from_ref(&queue));
        driver.clear(&queue).await.unwrap();
    }
    pool.close().await;
    costs
}

/// Rows that the connection has read by any index so far.
async fn rows_read(pool: &MySqlPool) -> u64 {
    let rows = sqlx::query("SHOW SESSION STATUS LIKE 'Handler_read%'").fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(1).parse::<u64>().unwrap()).sum()
}

async fn crowd(own: &Own, rows: usize) {
    let thousands = rows / 1_000;
    for (queue, priority, wait) in [("default", 3, 0), ("default", 1, 36_000), ("crowd", 0, 0)] {
        let insert = format!(
            "INSERT INTO {{jobs}} (id, queue, payload, priority, available_at)
             WITH RECURSIVE numbers (number) AS (
                 SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 1000
             )
             SELECT UNHEX(REPLACE(UUID(), '-', '')), '{queue}', 'x', {priority},
                    UTC_TIMESTAMP(6) + INTERVAL {wait} SECOND
             FROM numbers
             CROSS JOIN (SELECT number AS thousand FROM numbers WHERE number <= {thousands}) AS thousands"
        );
        own.run(&insert).await;
    }
}
