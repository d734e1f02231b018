//! The broker is killed, frozen, short of memory; a connection is closed by its operator, a queue removed.

use std::time::Duration;

use lapin::{Connection, ConnectionProperties, options::QueueDeleteOptions};
use stream_rabbitmq::lapin;
use stream_testkit::services::PrivateServer;
use tokio::{task::spawn_blocking, time::sleep};

use super::load::Load;
use crate::backend::{VARIABLE, fresh_queue, management::Management};

const JOBS: usize = 300;
/// Deliveries and pushes that may be under way at one moment: what the worker asks for, its buffer, and one push.
const UNDER_WAY: usize = 10 + 10 + 1;

fn server(test: &str) -> Option<PrivateServer> {
    PrivateServer::start("rabbitmq").map_err(|skip| skip.report(test)).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_confirmed_is_lost_when_the_broker_is_killed_and_restarted() {
    let name = "fault::broker::nothing_confirmed_is_lost_when_the_broker_is_killed_and_restarted";
    let Some(mut server) = server(name) else { return };
    let load = Load::begin(server.variable(VARIABLE), &fresh_queue(), JOBS).await;
    load.confirmed(JOBS / 3).await;

    let server = spawn_blocking(move || {
        server.kill();
        server.restart();
        server
    });
    let server = server.await.unwrap();

    let twice = load.end().await;
    assert!(twice <= UNDER_WAY, "{twice} jobs were done twice");
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_broker_is_waited_for() {
    let Some(mut server) = server("fault::broker::a_frozen_broker_is_waited_for") else { return };
    let load = Load::begin(server.variable(VARIABLE), &fresh_queue(), JOBS).await;
    load.confirmed(JOBS / 3).await;

    server.pause();
    // Longer than a call of this load may take.
    sleep(Duration::from_secs(7)).await;
    server.resume();

    let twice = load.end().await;
    assert!(twice <= 2 * UNDER_WAY, "{twice} jobs were done twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_closed_by_an_operator_are_made_again() {
    let Some(server) = server("fault::broker::connections_closed_by_an_operator_are_made_again") else {
        return;
    };
    let management = Management::of(&server);
    let load = Load::begin(server.variable(VARIABLE), &fresh_queue(), JOBS).await;
    load.confirmed(JOBS / 3).await;

    assert!(management.close_connections() > 0, "there are connections to close");

    let twice = load.end().await;
    assert!(twice <= UNDER_WAY, "{twice} jobs were done twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_removed_underneath_is_declared_again() {
    let Some(server) = server("fault::broker::a_queue_removed_underneath_is_declared_again") else { return };
    let (url, queue) = (server.variable(VARIABLE), fresh_queue());
    let load = Load::begin(url, &queue, JOBS / 3).await;
    load.end().await;
    let driver = stream_rabbitmq::RabbitMqDriver::connect(url).await.unwrap();
    let waiting = stream_core::Driver::subscribe(&driver, std::slice::from_ref(&queue)).await.unwrap();
    waiting.ready(Duration::from_millis(100)).await.unwrap();

    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    for priority in ["critical", "high", "default", "low"] {
        let name = format!("{queue}.{priority}");
        channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
    }

    // Through the connection that had declared the queue, and to the subscription that was waiting at it.
    let job = stream_core::Draft::named("x", &1).into_job().unwrap();
    stream_core::Driver::push(&driver, &queue, &[job]).await.remove(0).unwrap();
    let named = waiting.ready(Duration::from_secs(10)).await.unwrap();
    assert_eq!(named, [queue]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_short_of_memory_stops_producers_and_leaves_workers_running() {
    let name = "fault::broker::a_broker_short_of_memory_stops_producers_and_leaves_workers_running";
    let Some(server) = server(name) else { return };
    let url = server.variable(VARIABLE);
    let queue = fresh_queue();
    let config = stream_rabbitmq::RabbitMqConfig::new().call_timeout(Duration::from_secs(2));
    let driver = stream_rabbitmq::RabbitMqDriver::connect_with(url, config).await.unwrap();
    let push = async || {
        let job = stream_core::Draft::named("x", &1).into_job().unwrap();
        stream_core::Driver::push(&driver, &queue, &[job]).await.remove(0)
    };
    for _ in 0..3 {
        push().await.unwrap();
    }

    let management = Management::of(&server);
    management.set_memory_limit("0.000001");
    // The first is still taken: the broker stops who publishes.
    let mut error = None;
    for _ in 0..20 {
        error = push().await.err();
        if error.is_some() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let error = error.expect("the broker takes no more");
    assert!(error.is_transient(), "{error}");
    let error = push().await.unwrap_err();
    assert_eq!(error.kind(), &stream_core::ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("memory"), "{error}");
    let findings = format!("{:?}", stream_core::Driver::check(&driver).await.unwrap());
    assert!(findings.contains("short of memory"), "{findings}");

    // Workers that only finish jobs go on.
    let subscription = stream_core::Driver::subscribe(&driver, std::slice::from_ref(&queue)).await.unwrap();
    let mut done = 0;
    while done < 3 {
        let taken = subscription.reserve(&queue, stream_core::Reserve::new(1)).await.unwrap();
        if taken.is_empty() {
            subscription.ready(Duration::from_secs(5)).await.unwrap();
        }
        for delivery in taken {
            let settlement = stream_core::Settlement::new(&delivery, &stream_core::Outcome::Done);
            stream_core::Driver::settle(&driver, &queue, &[settlement]).await.remove(0).unwrap();
            done += 1;
        }
    }

    management.set_memory_limit("0.4");
    let mut pushed = push().await;
    for _ in 0..50 {
        if pushed.is_ok() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        pushed = push().await;
    }
    pushed.expect("the broker takes jobs again");
}
