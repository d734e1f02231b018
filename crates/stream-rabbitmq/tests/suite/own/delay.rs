//! The delay chain: nothing waits behind a longer delay, and a job may pass through it again and again.

use std::{
    collections::BTreeSet,
    slice,
    time::{Duration, Instant},
};

use stream_core::{Draft, Driver, NewJob, Outcome, Reserve, Settlement};
use stream_rabbitmq::RabbitMqDriver;

use super::broker::{address, take};
use crate::backend::{config, fresh_queue};

fn delayed(seconds: u64) -> NewJob {
    let mut job = Draft::named("x", &1).into_job().unwrap();
    job.delay = Duration::from_secs(seconds);
    job
}

#[tokio::test]
async fn a_delay_of_a_second_is_not_blocked_by_one_of_an_hour() {
    let Some(url) = address("own::delay::a_delay_of_a_second_is_not_blocked_by_one_of_an_hour") else {
        return;
    };
    let (driver, queue) = (RabbitMqDriver::connect_with(&url, config()).await.unwrap(), fresh_queue());
    // 3601 waits at level 0 as well, where the short one waits.
    for hour in [3_600, 3_601] {
        driver.push(&queue, &[delayed(hour)]).await.remove(0).unwrap();
    }
    let (begun, short) = (Instant::now(), delayed(1));
    driver.push(&queue, slice::from_ref(&short)).await.remove(0).unwrap();

    let taken = take(&driver, &queue).await;

    assert_eq!(taken.id(), Some(short.envelope.id));
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(6), "{waited:?}");
}

#[tokio::test]
async fn a_job_survives_ten_trips_through_the_chain() {
    let Some(url) = address("own::delay::a_job_survives_ten_trips_through_the_chain") else { return };
    let (driver, queue) = (RabbitMqDriver::connect_with(&url, config()).await.unwrap(), fresh_queue());
    let job = delayed(0);
    driver.push(&queue, slice::from_ref(&job)).await.remove(0).unwrap();

    for attempt in 1..=10 {
        let taken = take(&driver, &queue).await;
        assert_eq!((taken.id(), taken.attempt), (Some(job.envelope.id), attempt));
        let outcome = Outcome::Retry { after: Duration::from_secs(1), error: "again".into() };
        driver.settle(&queue, &[Settlement::new(&taken, &outcome)]).await.remove(0).unwrap();
    }

    let last = take(&driver, &queue).await;
    assert_eq!((last.attempt, last.lost, last.envelope), (11, 0, Ok(job.envelope)));
}

#[tokio::test]
async fn thousands_of_jobs_due_at_one_time_arrive() {
    many_due_at_once("own::delay::thousands_of_jobs_due_at_one_time_arrive", 2_000).await;
}

async fn many_due_at_once(test: &str, count: usize) {
    let Some(url) = address(test) else { return };
    let (driver, queue) = (RabbitMqDriver::connect_with(&url, config()).await.unwrap(), fresh_queue());
    let subscription = driver.subscribe(slice::from_ref(&queue)).await.unwrap();
    let jobs: Vec<_> = (0..count).map(|_| delayed(3)).collect();
    for chunk in jobs.chunks(1_000) {
        assert!(driver.push(&queue, chunk).await.iter().all(Result::is_ok));
    }
    let mut missing: BTreeSet<_> = jobs.iter().map(|job| job.envelope.id).collect();
    let begun = Instant::now();
    while !missing.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(50), "{} jobs did not arrive", missing.len());
        let taken = subscription.reserve(&queue, Reserve::new(1_000)).await.unwrap();
        if taken.is_empty() {
            subscription.ready(Duration::from_secs(1)).await.unwrap();
        }
        let done: Vec<_> = taken.iter().map(|one| Settlement::new(one, &Outcome::Done)).collect();
        driver.settle(&queue, &done).await.into_iter().for_each(|answer| answer.unwrap());
        taken.iter().for_each(|one| assert!(missing.remove(&one.id().unwrap()), "a job came twice"));
    }
}
