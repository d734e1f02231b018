//! How who waits is woken: without looking, once for many pushes, and with little said while nothing comes.

use std::time::Duration;

use stream_core::{Driver, Outcome, QueueName, Reserve};
use tokio::time::{Instant, sleep, timeout};

use crate::backends::own::{NOT_LATER, Own, job, push, queue, settle, subscribe};

/// Longer than a test may take: who answers sooner was told.
const LONG: Duration = Duration::from_secs(60);

async fn commands(own: &Own) -> u64 {
    let stats = own.ask(&["INFO", "stats"]).await.as_string().unwrap();
    let field = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    field.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn pushes_by_others_are_heard_and_not_found_by_looking() {
    let name = "own::single::waking::pushes_by_others_are_heard_and_not_found_by_looking";
    let Some(own) = Own::shared(name).await else { return };
    let (worker, other) = (own.driver().await, own.driver().await);
    let subscription = subscribe(&worker).await;
    let mut waits = Vec::new();
    for round in 0..21 {
        // At different moments between two looks, which are a second apart.
        let (pushed, named) = tokio::join!(
            async {
                sleep(Duration::from_millis(20 + round)).await;
                push(&other, &job()).await.unwrap();
                Instant::now()
            },
            timeout(NOT_LATER, subscription.ready(LONG)),
        );
        waits.push(pushed.elapsed());
        assert_eq!(named.expect("the push is heard").unwrap(), [queue()]);
        let delivery = subscription.reserve(&queue(), Reserve::new(1)).await.unwrap().remove(0);
        settle(&worker, &delivery, &Outcome::Done).await.unwrap();
    }
    waits.sort();
    // By looking alone it would be half a second.
    assert!(waits[10] < Duration::from_millis(100), "{waits:?}");
    own.end().await;
}

#[tokio::test]
async fn many_pushes_are_one_wake() {
    let Some(own) = Own::shared("own::single::waking::many_pushes_are_one_wake").await else { return };
    let driver = own.driver().await;
    for _ in 0..50 {
        push(&driver, &job()).await.unwrap();
    }
    assert_eq!(own.ask(&["ZCARD", &own.key("wake")]).await.as_u64(), Some(1));
    own.end().await;
}

#[tokio::test]
async fn a_mark_that_nobody_waits_for_stays_for_others() {
    let name = "own::single::waking::a_mark_that_nobody_waits_for_stays_for_others";
    let Some(own) = Own::shared(name).await else { return };
    let (busy, idle) = (own.driver().await, own.driver().await);
    let (busy_place, idle_place) = (subscribe(&busy).await, subscribe(&idle).await);
    for _ in 0..10 {
        // It has waited, and does not any more: its blocking call is still open.
        assert!(busy_place.ready(Duration::from_millis(30)).await.unwrap().is_empty());
        let begun = Instant::now();
        let (named, ()) = tokio::join!(timeout(NOT_LATER, idle_place.ready(LONG)), async {
            sleep(Duration::from_millis(20)).await;
            push(&busy, &job()).await.unwrap();
        });
        assert_eq!(named.expect("the mark was put back").unwrap(), [queue()]);
        assert!(begun.elapsed() < Duration::from_millis(500), "it was found by looking");
        let delivery = idle_place.reserve(&queue(), Reserve::new(1)).await.unwrap().remove(0);
        settle(&idle, &delivery, &Outcome::Done).await.unwrap();
    }
    own.end().await;
}

#[tokio::test]
async fn a_queue_that_is_waited_for_later_is_heard_as_well() {
    let name = "own::single::waking::a_queue_that_is_waited_for_later_is_heard_as_well";
    let Some(own) = Own::shared(name).await else { return };
    let (driver, other) = (own.driver().await, own.driver().await);
    let second = QueueName::new("second").unwrap();
    let first = subscribe(&driver).await;
    let waiting = tokio::spawn(async move { first.ready(LONG).await.unwrap() });
    sleep(Duration::from_millis(50)).await;
    let later = driver.subscribe(std::slice::from_ref(&second)).await.unwrap();
    let begun = Instant::now();

    let (named, ()) = tokio::join!(timeout(NOT_LATER, later.ready(LONG)), async {
        sleep(Duration::from_millis(50)).await;
        other.push(&second, &[job()]).await.remove(0).unwrap();
    });

    assert_eq!(named.expect("it is heard").unwrap(), [second]);
    assert!(begun.elapsed() < Duration::from_millis(700), "it was found by looking");
    push(&other, &job()).await.unwrap();
    assert_eq!(timeout(NOT_LATER, waiting).await.expect("it is heard").unwrap(), [queue()]);
    own.end().await;
}

#[tokio::test]
async fn who_waits_in_vain_says_little() {
    let Some(own) = Own::private("own::single::waking::who_waits_in_vain_says_little").await else { return };
    let driver = own.driver().await;
    let subscription = subscribe(&driver).await;
    assert!(subscription.ready(Duration::from_millis(100)).await.unwrap().is_empty());
    let before = commands(&own).await;

    assert!(subscription.ready(Duration::from_secs(3)).await.unwrap().is_empty());

    // A look a second: a script with its commands, and the two questions of this test.
    let said = commands(&own).await - before;
    assert!(said <= 30, "{said} commands in 3 s of waiting");
}

#[tokio::test]
async fn what_a_taker_leaves_behind_wakes_another() {
    let name = "own::single::waking::what_a_taker_leaves_behind_wakes_another";
    let Some(own) = Own::shared(name).await else { return };
    let (first, second, pusher) = (own.driver().await, own.driver().await, own.driver().await);
    let work = async |driver: &stream_redis::RedisDriver| {
        let subscription = subscribe(driver).await;
        for _ in 0..5 {
            timeout(NOT_LATER, subscription.ready(LONG)).await.expect("it is woken").unwrap();
            // One at a time, as a worker with one slot that is now busy for long.
            let taken = subscription.reserve(&queue(), Reserve::new(1)).await.unwrap();
            if !taken.is_empty() {
                return Instant::now();
            }
        }
        panic!("nothing was left behind");
    };
    let mut waits = Vec::new();
    for _ in 0..5 {
        let pushes = async {
            sleep(Duration::from_millis(50)).await;
            pusher.push(&queue(), &[job(), job()]).await;
            Instant::now()
        };
        let (pushed, one, other) = tokio::join!(pushes, work(&first), work(&second));
        waits.push(one.max(other) - pushed);
    }
    waits.sort();
    // By looking alone it would be half a second.
    assert!(waits[2] < Duration::from_millis(150), "{waits:?}");
    own.end().await;
}
