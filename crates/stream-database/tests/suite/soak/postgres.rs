//! Long backlogs and long snapshots.

use std::{
    slice,
    time::{Duration, Instant},
};

use stream_core::{Driver, Outcome, QueueName, Reserve, Settlement};
use stream_database::DatabaseDriver;

use crate::{backends::postgres::own::Own, own::postgres::snapshot::slowed};

/// About three minutes on two cores.
const SPANS: u32 = 60;
const BATCHES: u32 = 200;

#[tokio::test]
async fn throughput_does_not_halve_while_a_snapshot_is_held_for_minutes() {
    let name = "soak::postgres::throughput_does_not_halve_while_a_snapshot_is_held_for_minutes";
    let Some(own) = Own::new(name) else { return };

    let slowed = slowed(&own, SPANS, BATCHES).await;

    assert!(slowed < 2.0, "a batch takes {slowed:.1} times as long");
}

/// The median time of a reserve of one job and of its settlement.
async fn one(driver: &DatabaseDriver, queue: &QueueName) -> Duration {
    let subscription = driver.subscribe(slice::from_ref(queue)).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..301 {
        let begun = Instant::now();
        let taken = subscription.reserve(queue, Reserve::new(1)).await.unwrap();
        times.push(begun.elapsed());
        driver.settle(queue, &[Settlement::new(&taken[0], &Outcome::Done)]).await.remove(0).unwrap();
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
async fn a_reserve_costs_the_same_at_a_million_jobs_as_at_a_thousand() {
    let name = "soak::postgres::a_reserve_costs_the_same_at_a_million_jobs_as_at_a_thousand";
    let Some(own) = Own::new(name) else { return };
    let driver = own.migrated().await;
    let queue = QueueName::new("default").unwrap();
    let fill = |jobs: u32| {
        format!(
            "INSERT INTO {{jobs}} (id, queue, payload, place) \
             SELECT gen_random_uuid(), 'default', convert_to(repeat('x', 200), 'UTF8'), nth % 1000 \
             FROM generate_series(1, {jobs}) AS nth"
        )
    };

    own.run(&fill(1_000)).await;
    let few = one(&driver, &queue).await;
    own.run(&fill(1_000_000)).await;
    let many = one(&driver, &queue).await;

    assert!(many < few.mul_f64(1.5), "{many:?} instead of {few:?}");
    driver.close().await.unwrap();
    own.drop_tables().await;
}
