//! A driver that panics costs nothing but time.

use std::time::Duration;

use super::{act, distant::Distant};

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_once_at_any_verb_holds_nothing_up() {
    for verb in ["subscribe", "ready", "reserve", "settle", "is_current"] {
        let (world, distant) = Distant::world(|_| {});
        distant.panic_at(verb, if verb == "subscribe" { 0 } else { 1 });
        let consumer = world.consumer().start().await.unwrap();
        for _ in 0..3 {
            world.queue.push(act("work")).await.unwrap();
        }
        let done = async {
            while world.count("done") < 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), done)
            .await
            .unwrap_or_else(|_| panic!("stuck at {verb}"));
        assert_eq!(distant.panics_left(verb), 0, "{verb}");
        consumer.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_at_a_subscribe_is_asked_again() {
    let (world, distant) = Distant::world(|_| {});
    world.queue.push(act("work")).await.unwrap();
    distant.panic_at("subscribe", 1);

    let error = world.consumer().start().await.unwrap_err();

    assert!(error.to_string().contains("gave no answer"), "{error}");
    world.consumer().drain().await.unwrap();
    assert_eq!(world.count("done"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_though_an_extension_panics() {
    let (world, distant) = Distant::world(|_| {});
    world.queue.push(act("two seconds")).await.unwrap();
    distant.panic_at("extend", 1);

    let consumer = world.consumer().lease(Duration::from_secs(1)).start().await.unwrap();
    let done = async {
        while world.count("done") < 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), done).await.unwrap();

    assert_eq!((distant.panics_left("extend"), world.count("run two seconds 1")), (0, 1));
    // Every third of a second for two seconds.
    assert!(distant.extended() >= 5, "{}", distant.extended());
    consumer.shutdown().await.unwrap();
}
