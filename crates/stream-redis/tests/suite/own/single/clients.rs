//! Whose client it is: the program's, or one that the driver makes.

use std::time::Duration;

use fred::{clients::Client, interfaces::ClientLike};
use stream_core::{Driver, ErrorKind, Outcome, Reserve};
use stream_redis::RedisDriver;
use tokio::time::timeout;

use crate::backends::own::{NOT_LATER, Own, job, kind, push, queue, settle, subscribe};

#[tokio::test]
async fn a_driver_on_the_programs_client_leaves_it_open() {
    let name = "own::single::clients::a_driver_on_the_programs_client_leaves_it_open";
    let Some(own) = Own::shared(name).await else { return };
    let driver = RedisDriver::from_client(own.client.clone(), own.config()).await.unwrap();
    let subscription = subscribe(&driver).await;
    let (named, pushed) =
        tokio::join!(timeout(NOT_LATER, subscription.ready(Duration::from_secs(60))), async {
            push(&driver, &job()).await
        });
    pushed.unwrap();
    assert_eq!(named.expect("the push is heard").unwrap(), [queue()]);
    let delivery = subscription.reserve(&queue(), Reserve::new(1)).await.unwrap().remove(0);
    settle(&driver, &delivery, &Outcome::Done).await.unwrap();

    driver.close().await.unwrap();

    assert_eq!(kind(driver.depth(&queue()).await), ErrorKind::Unavailable);
    own.client.ping::<()>(None).await.unwrap();
    own.end().await;
}

#[tokio::test]
async fn connections_end_with_their_driver() {
    let Some(own) = Own::private("own::single::clients::connections_end_with_their_driver").await else {
        return;
    };
    let connections = async || {
        let clients = own.ask(&["CLIENT", "LIST", "TYPE", "normal"]).await.as_string().unwrap();
        clients.lines().count()
    };
    let before = connections().await;
    for is_closed in [true, false] {
        let driver = own.driver().await;
        let subscription = subscribe(&driver).await;
        subscription.ready(Duration::from_secs(1)).await.unwrap();
        assert_eq!(connections().await, before + 2, "one for calls, one for waiting");
        if is_closed {
            driver.close().await.unwrap();
        }
        drop((driver, subscription));
        crate::backends::own::until("the connections are closed", || async { connections().await == before })
            .await;
    }
    let client: &Client = &own.client;
    assert!(client.is_connected());
}
