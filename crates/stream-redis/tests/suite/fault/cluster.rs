//! On a cluster of its own: slots move and masters die under load.

use std::time::Duration;

use stream_core::QueueName;
use stream_redis::{RedisConfig, RedisDriver};
use stream_testkit::services::PrivateServer;
use tokio::time::sleep;

use crate::{
    backends::{CLUSTER, nodes::Nodes},
    fault::load::Load,
};

/// The masters, as the service calls their processes.
const MASTERS: [&str; 3] = ["first", "second", "third"];

struct Scene {
    server: PrivateServer,
    url: String,
    nodes: Nodes,
}

impl Scene {
    async fn new(test: &str) -> Option<Self> {
        match PrivateServer::start("redis-cluster") {
            Ok(server) => {
                let url = server.variable(CLUSTER).to_owned();
                let nodes = Nodes::of(&url).await;
                Some(Self { server, url, nodes })
            }
            Err(skip) => {
                skip.report(test);
                None
            }
        }
    }

    async fn connect(&self) -> RedisDriver {
        let config =
            RedisConfig::new().call_timeout(Duration::from_secs(2)).connect_timeout(Duration::from_secs(1));
        RedisDriver::connect_with(&self.url, config).await.unwrap()
    }

    /// Work on one queue of each master.
    async fn load(&self) -> Load {
        let queues = self.nodes.one_queue_each().await;
        let names: Vec<_> = queues.iter().map(QueueName::as_str).collect();
        Load::begin(&names, || self.connect()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_go_on_while_slots_move_under_them() {
    let Some(scene) = Scene::new("fault::cluster::workers_go_on_while_slots_move_under_them").await else {
        return;
    };
    let load = scene.load().await;
    for (from, queue) in scene.nodes.one_queue_each().await.iter().enumerate() {
        load.goes_on().await;
        let slot = scene.nodes.slot(queue).await;
        let to = (from + 1) % MASTERS.len();
        scene.nodes.migrate(slot, from, to).await;
        load.goes_on().await;
        scene.nodes.migrate(slot, to, from).await;
    }
    load.goes_on().await;
    load.balance(&scene.connect().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_masters_die_and_come_back() {
    let name = "fault::cluster::nothing_acknowledged_is_lost_when_masters_die_and_come_back";
    let Some(mut scene) = Scene::new(name).await else { return };
    let load = scene.load().await;
    for master in MASTERS {
        load.goes_on().await;
        scene.server.kill_process(master);
        sleep(Duration::from_millis(700)).await;
        scene.server.restart_process(master);
    }
    load.goes_on().await;
    load.balance(&scene.connect().await).await;
}
