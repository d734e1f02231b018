//! What a reserve costs: rows that it does not return are not read, and not hidden from others.

use std::{
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use stream_core::{Driver, QueueName, Reserve};

use super::{LONG, Own, job, queue};
use crate::backends::mysql::crowd::reserves_alone_and_in_a_crowd;

#[tokio::test]
async fn a_reserve_reads_no_row_that_is_delayed_or_less_urgent() {
    let name = "own::mysql::cost::a_reserve_reads_no_row_that_is_delayed_or_less_urgent";
    let Some(own) = Own::new(name) else { return };

    let costs = reserves_alone_and_in_a_crowd(&own, 10_000).await;

    // A few dozen more candidates are looked at than are taken.
    assert!(costs[1] < costs[0] + 100, "{costs:?}");
    own.drop_tables().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_hides_no_job_of_another_queue() {
    let Some(own) = Own::new("own::mysql::cost::a_reserve_hides_no_job_of_another_queue") else { return };
    let driver = own.migrated().await;
    let next = QueueName::new("default-2").unwrap();
    let other = own.connect().await;
    let stop = Arc::new(AtomicBool::new(false));
    let is_stopped = Arc::clone(&stop);
    // Whose range ends where the next queue begins.
    let neighbour = tokio::spawn(async move {
        let subscription = other.subscribe(slice::from_ref(&queue())).await.unwrap();
        while !is_stopped.load(Ordering::Relaxed) {
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

    stop.store(true, Ordering::Relaxed);
    neighbour.await.unwrap();
    own.drop_tables().await;
}
