//! What others may do to a server under running programs: no worker dies of it.

use std::time::Duration;

use fred::types::Value;
use stream_core::{Consumer, Context, Driver, ErrorKind, Handlers, JobId, Outcome, QueueManager, Reserve};

use crate::backends::own::{Own, counts, job, kind, push, queue, settle, subscribe, take, until};

#[tokio::test]
async fn flushed_scripts_are_sent_again() {
    let Some(own) = Own::private("own::single::tampering::flushed_scripts_are_sent_again").await else {
        return;
    };
    let driver = own.driver().await;
    let error = String::from("no luck");
    for outcome in [Outcome::Done, Outcome::Bury { error }] {
        own.ask(&["SCRIPT", "FLUSH"]).await;
        push(&driver, &job()).await.unwrap();
        let delivery = take(&driver).await;
        own.ask(&["SCRIPT", "FLUSH"]).await;
        driver.extend(&queue(), &[&delivery], Duration::from_secs(60)).await.remove(0).unwrap();
        settle(&driver, &delivery, &outcome).await.unwrap();
    }
    own.ask(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(driver.dead_letters().unwrap().retry_all(&queue()).await.unwrap(), 1);
    assert_eq!(driver.clear(&queue()).await.unwrap().waiting, Some(1));
    assert_eq!(counts(&driver).await, (0, 0, 0));
}

#[tokio::test]
async fn killed_connections_are_opened_again_and_wakes_still_come() {
    let name = "own::single::tampering::killed_connections_are_opened_again_and_wakes_still_come";
    let Some(own) = Own::private(name).await else { return };
    let (driver, other) = (own.driver().await, own.driver().await);
    let subscription = subscribe(&driver).await;
    for _ in 0..3 {
        let named = async {
            loop {
                // Who looks while its connection dies is told so, and asks again.
                match subscription.ready(Duration::from_secs(60)).await {
                    Ok(named) => return named,
                    Err(error) => assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}"),
                }
            }
        };
        let (named, ()) = tokio::join!(named, async {
            own.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
            let job = job();
            until("the push is stored", || async { push(&other, &job).await.is_ok() }).await;
        });
        assert_eq!(named, [queue()]);
        let delivery = subscription.reserve(&queue(), Reserve::new(1)).await.unwrap().remove(0);
        settle(&driver, &delivery, &Outcome::Done).await.unwrap();
    }
}

#[tokio::test]
async fn a_queue_that_is_removed_under_its_workers_is_over_and_starts_anew() {
    let name = "own::single::tampering::a_queue_that_is_removed_under_its_workers_is_over_and_starts_anew";
    let Some(own) = Own::private(name).await else { return };
    let driver = own.driver().await;
    for _ in 0..4 {
        push(&driver, &job()).await.unwrap();
    }
    let error = String::from("no luck");
    let outcomes = [
        Outcome::Done,
        Outcome::Retry { after: Duration::ZERO, error: error.clone() },
        Outcome::Bury { error },
        Outcome::Release { after: Duration::ZERO },
    ];
    let mut deliveries = Vec::new();
    for _ in &outcomes {
        deliveries.push(take(&driver).await);
    }
    own.ask(&["FLUSHALL"]).await;

    for (delivery, outcome) in deliveries.iter().zip(&outcomes) {
        assert_eq!(kind(settle(&driver, delivery, outcome).await), ErrorKind::LeaseLost, "{outcome:?}");
    }
    assert_eq!(counts(&driver).await, (0, 0, 0));
    push(&driver, &job()).await.unwrap();
    settle(&driver, &take(&driver).await, &Outcome::Done).await.unwrap();
}

#[tokio::test]
async fn a_job_that_was_removed_by_hand_is_passed_over() {
    let name = "own::single::tampering::a_job_that_was_removed_by_hand_is_passed_over";
    let Some(own) = Own::shared(name).await else { return };
    let driver = own.driver().await;
    let jobs: Vec<_> = (0..4).map(|_| job()).collect();
    for job in &jobs {
        push(&driver, job).await.unwrap();
    }
    let remove = async |place: usize| {
        let id = Value::Bytes(jobs[place].envelope.id.as_bytes().to_vec().into());
        own.send(vec!["HDEL".into(), own.key("jobs").into(), id]).await
    };
    remove(1).await;
    let subscription = subscribe(&driver).await;

    let taken = subscription.reserve(&queue(), Reserve::new(4)).await.unwrap();
    let ids: Vec<_> = taken.iter().filter_map(stream_core::Delivery::id).collect();
    assert_eq!(ids, [0, 2, 3].map(|place: usize| jobs[place].envelope.id));

    // Removed while it runs: however it ends, nothing of it comes back.
    for (place, outcome) in
        [(0, Outcome::Release { after: Duration::ZERO }), (2, Outcome::Bury { error: "no luck".into() })]
    {
        remove(place).await;
        let delivery = taken.iter().find(|delivery| delivery.id() == Some(jobs[place].envelope.id)).unwrap();
        settle(&driver, delivery, &outcome).await.unwrap();
    }
    assert_eq!(counts(&driver).await, (0, 1, 0));
    own.end().await;
}

#[tokio::test]
async fn bytes_that_were_spoilt_are_buried_and_hold_back_no_worker() {
    let name = "own::single::tampering::bytes_that_were_spoilt_are_buried_and_hold_back_no_worker";
    let Some(own) = Own::shared(name).await else { return };
    let driver = own.driver().await;
    let spoilt = job();
    push(&driver, &spoilt).await.unwrap();
    let id = Value::Bytes(spoilt.envelope.id.as_bytes().to_vec().into());
    own.send(vec!["HSET".into(), own.key("jobs").into(), id, "\u{1}spoilt".into()]).await;
    push(&driver, &job()).await.unwrap();

    let manager = QueueManager::new(driver.clone());
    let handlers = Handlers::new().register_named("x", async |_: u32, _: Context| Ok(()));
    let drained = Consumer::builder(&manager, handlers).queues(["default"]).workers(1);
    drained.drain().await.unwrap();

    assert_eq!(counts(&driver).await, (0, 0, 1));
    let letter = driver.dead_letters().unwrap().list(&queue(), None, 1).await.unwrap().remove(0);
    let undecodable = letter.envelope.unwrap_err();
    assert_eq!((undecodable.id, undecodable.bytes), (Some(spoilt.envelope.id), b"\x01spoilt".to_vec()));
    own.end().await;
}

#[tokio::test]
async fn ids_of_another_kind_in_a_list_are_passed_over() {
    let name = "own::single::tampering::ids_of_another_kind_in_a_list_are_passed_over";
    let Some(own) = Own::shared(name).await else { return };
    let driver = own.driver().await;
    own.ask(&["RPUSH", &own.key("ready:default"), "garbage", ""]).await;
    push(&driver, &job()).await.unwrap();

    let subscription = subscribe(&driver).await;
    let taken = subscription.reserve(&queue(), Reserve::new(10)).await.unwrap();

    assert_eq!(taken.len(), 1);
    assert_eq!(counts(&driver).await, (0, 1, 0));
    assert!(taken[0].id() > Some(JobId::from_bytes([0; 16])));
    own.end().await;
}
