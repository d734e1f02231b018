//! What is left of jobs that are over: nothing.

use std::time::Duration;

use stream_core::{Delivery, Draft, Driver, NewJob, Outcome, RateLimit, Reserve, Result, Settlement};

use crate::backends::own::{Own, counts, job, push, queue, settle, subscribe, take};

fn unique(key: &str, delay: Duration) -> NewJob {
    Draft::named("x", &1).unique(key).delay(delay).into_job().unwrap()
}

#[tokio::test]
async fn a_queue_that_was_emptied_leaves_nothing_but_its_mark() {
    let name = "own::single::leftovers::a_queue_that_was_emptied_leaves_nothing_but_its_mark";
    let Some(own) = Own::shared(name).await else { return };
    let driver = own.driver().await;
    let error = String::from("no luck");
    let (now, later) = (Duration::ZERO, Duration::from_secs(60));
    // Ended in each way, with a unique key each time.
    for (key, outcome) in [
        ("done", Outcome::Done),
        ("retry", Outcome::Retry { after: later, error: error.clone() }),
        ("release", Outcome::Release { after: later }),
        ("bury", Outcome::Bury { error }),
    ] {
        push(&driver, &unique(key, now)).await.unwrap();
        settle(&driver, &take(&driver).await, &outcome).await.unwrap();
    }
    // Waiting, delayed, and lost.
    push(&driver, &unique("delayed", later)).await.unwrap();
    push(&driver, &unique("lost", now)).await.unwrap();
    let limit = RateLimit::new(10, Duration::from_millis(10));
    let request = Reserve::new(1).lease(Duration::from_millis(1)).rate_limit(limit);
    assert_eq!(subscribe(&driver).await.reserve(&queue(), request).await.unwrap().len(), 1);
    push(&driver, &unique("ready", now)).await.unwrap();
    push(&driver, &job()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;

    assert_eq!(driver.clear(&queue()).await.unwrap().waiting, Some(6));
    assert_eq!(driver.dead_letters().unwrap().clear(&queue()).await.unwrap(), 1);

    // The log of takes goes by itself, when all of them are out of the window.
    own.ask(&["DEL", &own.key("takes")]).await;
    let left = own.ask(&["KEYS", &own.key("*").replace(['{', '}'], "?")]).await;
    let left: Vec<_> = left.into_array().iter().filter_map(fred::types::Value::as_string).collect();
    assert_eq!(left, [own.key("wake")]);
    own.end().await;
}

#[tokio::test]
async fn a_delivery_that_is_done_twice_in_a_batch_is_done_once() {
    let name = "own::single::leftovers::a_delivery_that_is_done_twice_in_a_batch_is_done_once";
    let Some(own) = Own::shared(name).await else { return };
    let driver = own.driver().await;
    for _ in 0..3 {
        push(&driver, &job()).await.unwrap();
    }
    let taken = subscribe(&driver).await.reserve(&queue(), Reserve::new(3)).await.unwrap();
    let batch: Vec<&Delivery> = vec![&taken[0], &taken[1], &taken[0], &taken[2], &taken[0]];
    let settlements: Vec<_> =
        batch.into_iter().map(|delivery| Settlement::new(delivery, &Outcome::Done)).collect();

    let answers = driver.settle(&queue(), &settlements).await;

    let done: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, true, false, true, false]);
    assert_eq!(counts(&driver).await, (0, 0, 0));
    own.end().await;
}
