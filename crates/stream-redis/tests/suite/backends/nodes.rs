//! The masters of a cluster, each reached by itself.

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{CustomCommand, Value},
};
use stream_core::QueueName;

use super::bare;

/// Slots that are the second's; see `xtask/src/services/stores/redis_cluster.rs`.
const BOUNDS: [u64; 3] = [5_460, 10_922, 16_383];

/// The masters of a cluster.
pub(crate) struct Nodes {
    nodes: Vec<Node>,
}

struct Node {
    client: Client,
    id: String,
    port: String,
    password: String,
}

impl Nodes {
    pub(crate) async fn of(url: &str) -> Self {
        let (password, rest) = url.strip_prefix("redis-cluster://:").unwrap().split_once('@').unwrap();
        let addresses = rest.split(['?', '&']).map(|part| part.trim_start_matches("node="));
        let mut nodes = Vec::new();
        for address in addresses {
            let client = bare(&format!("redis://:{password}@{address}")).await;
            let id = ask(&client, &["CLUSTER", "MYID"]).await.unwrap().as_string().unwrap();
            let port = address.rsplit_once(':').unwrap().1.to_owned();
            nodes.push(Node { client, id, port, password: password.to_owned() });
        }
        Self { nodes }
    }

    /// The slot of a queue.
    pub(crate) async fn slot(&self, queue: &QueueName) -> u64 {
        let answer = ask(&self.nodes[0].client, &["CLUSTER", "KEYSLOT", &format!("{{{queue}}}")]).await;
        answer.unwrap().as_u64().unwrap()
    }

    /// The master that has the slot at first, by its place.
    pub(crate) async fn home(&self, queue: &QueueName) -> usize {
        let slot = self.slot(queue).await;
        BOUNDS.iter().position(|bound| slot <= *bound).unwrap()
    }

    /// Names of queues, the first of each master's slots.
    pub(crate) async fn one_queue_each(&self) -> Vec<QueueName> {
        let mut found: Vec<Option<QueueName>> = vec![None; self.nodes.len()];
        for number in 0.. {
            let queue = QueueName::new(format!("queue-{number}")).unwrap();
            let home = self.home(&queue).await;
            found[home].get_or_insert(queue);
            if found.iter().all(Option::is_some) {
                break;
            }
        }
        found.into_iter().flatten().collect()
    }

    /// Whether a master has this key.
    pub(crate) async fn has(&self, place: usize, key: &str) -> bool {
        let answer = ask(&self.nodes[place].client, &["EXISTS", key]).await;
        answer.is_ok_and(|count| count.as_u64() == Some(1))
    }

    /// Moves a slot with its keys while others work on it.
    pub(crate) async fn migrate(&self, slot: u64, from: usize, to: usize) {
        let (source, target, slot) = (&self.nodes[from], &self.nodes[to], slot.to_string());
        ask(&target.client, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source.id]).await.unwrap();
        ask(&source.client, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target.id]).await.unwrap();
        loop {
            let keys = ask(&source.client, &["CLUSTER", "GETKEYSINSLOT", &slot, "10"]).await.unwrap();
            let Value::Array(keys) = keys else { break };
            if keys.is_empty() {
                break;
            }
            let keys: Vec<String> = keys.iter().map(|key| key.as_string().unwrap()).collect();
            let mut words =
                vec!["MIGRATE", "127.0.0.1", &target.port, "", "0", "5000", "AUTH", &target.password];
            words.push("KEYS");
            words.extend(keys.iter().map(String::as_str));
            ask(&source.client, &words).await.unwrap();
        }
        // The new owner first: what is sent on to it is taken.
        let others = self.nodes.iter().filter(|node| node.id != target.id);
        for node in [target].into_iter().chain(others) {
            ask(&node.client, &["CLUSTER", "SETSLOT", &slot, "NODE", &target.id]).await.unwrap();
        }
    }
}

async fn ask(client: &Client, words: &[&str]) -> Result<Value, fred::error::Error> {
    let arguments: Vec<Value> = words[1..].iter().map(|word| Value::from(*word)).collect();
    client.custom(CustomCommand::new(words[0], None, false), arguments).await
}
