//! A server that is killed, frozen and restarted while jobs are pushed and worked.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use stream_core::{Consumer, Draft, Driver, Handlers, JobResult, QueueManager, QueueName};
use stream_database::DatabaseDriver;
use stream_testkit::services::PrivateServer;
use tokio::time::{sleep, timeout};

use crate::backends::mysql::own::Own;

const JOBS: u64 = 400;
const LEASE: Duration = Duration::from_secs(1);
/// All leases of the outage and the way back, on a machine that has other things to do.
const NOT_LATER: Duration = Duration::from_secs(90);

async fn connect(own: &Own) -> DatabaseDriver {
    let config = own.config().connect_timeout(LEASE).call_timeout(LEASE * 2);
    DatabaseDriver::connect_with(&own.url, config).await.unwrap()
}

/// Pushes all jobs, each until the store has answered; what was in doubt is pushed again.
async fn produce(driver: DatabaseDriver) {
    let manager = QueueManager::new(driver);
    for number in 0..JOBS {
        let push = manager.push(Draft::named("note", &number));
        while push.clone().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Works what is pushed while something happens to the server; every job is done, and none is left.
async fn nothing_is_lost(test: &str, happens: impl FnOnce(&mut PrivateServer) + Send + 'static) {
    let Some((mut server, own)) = Own::private(test).await else { return };
    own.migrated().await.close().await.unwrap();
    let done = Arc::new(Mutex::new(HashSet::new()));
    let noted = Arc::clone(&done);
    let note = move |number: u64, _| {
        let noted = Arc::clone(&noted);
        async move {
            sleep(Duration::from_millis(1)).await;
            noted.lock().unwrap().insert(number);
            JobResult::Ok(())
        }
    };
    let manager = QueueManager::new(connect(&own).await);
    let handlers = Handlers::new().register_named("note", note);
    let consumer = Consumer::builder(&manager, handlers).workers(8).lease(LEASE).start().await.unwrap();
    let producer = tokio::spawn(produce(connect(&own).await));

    let so_far = || done.lock().unwrap().len() as u64;
    while so_far() < JOBS / 10 {
        sleep(Duration::from_millis(5)).await;
    }
    let server = tokio::task::spawn_blocking(move || {
        happens(&mut server);
        server
    });
    let server = server.await.unwrap();

    let all = async {
        producer.await.unwrap();
        let probe = connect(&own).await;
        loop {
            let depth = probe.depth(&queue()).await;
            let is_empty = depth.is_ok_and(|depth| depth.ready + depth.delayed + depth.reserved == 0);
            if is_empty && so_far() == JOBS {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(NOT_LATER, all).await.unwrap_or_else(|_| panic!("{} of {JOBS} jobs were done", so_far()));
    consumer.shutdown().await.unwrap();
    drop(server);
}

fn queue() -> QueueName {
    QueueName::new("default").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back_loses_nothing() {
    let name = "fault::mysql::server::a_server_that_is_killed_and_comes_back_loses_nothing";
    nothing_is_lost(name, |server| {
        server.kill();
        std::thread::sleep(LEASE * 2);
        server.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_frozen_for_leases_loses_nothing() {
    let name = "fault::mysql::server::a_server_that_is_frozen_for_leases_loses_nothing";
    nothing_is_lost(name, |server| {
        server.pause();
        std::thread::sleep(LEASE * 3);
        server.resume();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_restarted_in_order_loses_nothing() {
    let name = "fault::mysql::server::a_server_that_is_restarted_in_order_loses_nothing";
    nothing_is_lost(name, PrivateServer::restart).await;
}
