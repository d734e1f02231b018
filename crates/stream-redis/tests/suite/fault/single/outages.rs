//! The server is killed, restarted and frozen under load: workers go on by themselves, and nothing that was
//! acknowledged is lost, since this server writes each change to its disk before it answers.

use std::time::Duration;

use stream_redis::RedisDriver;
use tokio::time::sleep;

use crate::{backends::own::Own, fault::load::Load};

const DOWN: Duration = Duration::from_millis(700);

async fn connect(own: &Own) -> RedisDriver {
    // A frozen server is given up soon.
    own.with(own.config().call_timeout(Duration::from_secs(1)).connect_timeout(Duration::from_millis(500)))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed_and_started_again() {
    let name =
        "fault::single::outages::nothing_acknowledged_is_lost_when_the_server_is_killed_and_started_again";
    let Some(mut own) = Own::private(name).await else { return };
    let load = Load::begin(&["default"], || connect(&own)).await;
    for _ in 0..3 {
        load.goes_on().await;
        own.server().kill();
        sleep(DOWN).await;
        own.server().restart();
    }
    load.goes_on().await;
    load.balance(&connect(&own).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_go_on_when_a_frozen_server_goes_on() {
    let Some(mut own) =
        Own::private("fault::single::outages::workers_go_on_when_a_frozen_server_goes_on").await
    else {
        return;
    };
    let load = Load::begin(&["default"], || connect(&own)).await;
    for frozen in [DOWN, Duration::from_secs(3)] {
        load.goes_on().await;
        own.server().pause();
        sleep(frozen).await;
        own.server().resume();
    }
    load.goes_on().await;
    load.balance(&connect(&own).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_go_on_when_their_scripts_and_connections_are_taken_away() {
    let name = "fault::single::outages::workers_go_on_when_their_scripts_and_connections_are_taken_away";
    let Some(own) = Own::private(name).await else { return };
    let load = Load::begin(&["default", "second"], || connect(&own)).await;
    for _ in 0..5 {
        load.goes_on().await;
        own.ask(&["SCRIPT", "FLUSH"]).await;
        own.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    }
    load.goes_on().await;
    load.balance(&connect(&own).await).await;
}
