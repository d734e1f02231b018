//! Redis Cluster: three masters that share the slots.

use anyhow::{Context as _, Result, bail};

use super::redis;
use crate::services::install::Need;
use crate::services::server::Server;
use crate::services::service::{Process, Service};
use crate::services::wire::resp::{self, Redis as Connection};

/// Each node with its two ports and the slots it takes.
const NODES: [Node; 3] = [
    Node { name: "first", bus: "first-bus", slots: ["0", "5460"] },
    Node { name: "second", bus: "second-bus", slots: ["5461", "10922"] },
    Node { name: "third", bus: "third-bus", slots: ["10923", "16383"] },
];

#[derive(Debug)]
struct Node {
    name: &'static str,
    bus: &'static str,
    slots: [&'static str; 2],
}

/// Three masters without replicas.
#[derive(Debug)]
pub(crate) struct RedisCluster;

impl Service for RedisCluster {
    fn name(&self) -> &'static str {
        "redis-cluster"
    }

    fn user(&self) -> &'static str {
        "redis"
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Program("redis-server", "redis-server")]
    }

    fn ports(&self) -> &'static [&'static str] {
        &["first", "second", "third", "first-bus", "second-bus", "third-bus"]
    }

    fn configure(&self, server: &Server) -> Result<()> {
        for node in &NODES {
            let folder = server.data_folder(node.name)?.display().to_string();
            let settings = redis::settings(server, server.port(node.name), &folder);
            let cluster = format!(
                "cluster-enabled yes\ncluster-port {}\ncluster-node-timeout 2000\nmasterauth {}\n",
                server.port(node.bus),
                server.password()
            );
            server.write(&format!("{}.conf", node.name), &(settings + &cluster))?;
        }
        Ok(())
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        let process = |node: &Node| {
            let settings = server.folder.join(format!("{}.conf", node.name)).display().to_string();
            Ok(Process {
                label: node.name.to_owned(),
                launch: server.launch("redis-server")?.args([settings]),
            })
        };
        NODES.iter().map(process).collect()
    }

    fn join(&self, server: &Server) -> Result<()> {
        let mut first = connect(server, &NODES[0])?;
        if is_whole(&mut first)? {
            return Ok(());
        }
        for node in &NODES {
            let mut connection = connect(server, node)?;
            take_slots(&mut connection, node)?;
            let port = server.port(node.name).to_string();
            let bus = server.port(node.bus).to_string();
            first.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
        bail!("the nodes have not met yet")
    }

    fn probe(&self, server: &Server) -> Result<String> {
        let mut connections = NODES.iter().map(|node| connect(server, node)).collect::<Result<Vec<_>>>()?;
        for connection in &mut connections {
            if !is_whole(connection)? {
                bail!("a node does not see all slots served");
            }
        }
        // Each node takes only keys of its own slots; a few tries find one.
        let takes_a_write =
            |_| connections.iter_mut().any(|connection| redis::write_something(connection).is_ok());
        if !(0..10).any(takes_a_write) {
            bail!("no node takes a write");
        }
        Ok(format!("{}, three masters", redis::version(&mut connections[0])?))
    }

    fn variable(&self) -> &'static str {
        "STREAM_TEST_REDIS_CLUSTER_URL"
    }

    fn address(&self, server: &Server) -> String {
        let [first, second, third] = NODES.each_ref().map(|node| server.port(node.name));
        let password = server.password();
        format!(
            "redis-cluster://:{password}@127.0.0.1:{first}?node=127.0.0.1:{second}&node=127.0.0.1:{third}"
        )
    }
}

fn connect(server: &Server, node: &Node) -> Result<Connection> {
    Connection::connect(server.port(node.name), server.password())
        .with_context(|| format!("the {} node does not answer", node.name))
}

fn is_whole(redis: &mut Connection) -> Result<bool> {
    let info = redis.ask(&["CLUSTER", "INFO"])?;
    let is = |name, value| resp::field(&info, name) == Some(value);
    Ok(is("cluster_state", "ok") && is("cluster_slots_ok", "16384") && is("cluster_known_nodes", "3"))
}

/// Repeated until the nodes have met: slots that are taken already are no error.
fn take_slots(redis: &mut Connection, node: &Node) -> Result<()> {
    let [from, to] = node.slots;
    match redis.ask(&["CLUSTER", "ADDSLOTSRANGE", from, to]) {
        Err(error) if !error.to_string().contains("already busy") => Err(error),
        _ => Ok(()),
    }
}
