//! A cluster of three Kafka brokers, for changes of coordinators and leaders.

use anyhow::{Result, bail};

use super::kafka::{self, FOR_TESTS};
use crate::services::install::{self, Need};
use crate::services::server::Server;
use crate::services::service::{Process, Role, Service};
use crate::services::user::NOBODY;
use crate::services::wire::kafka as wire;

/// The brokers' names, which are those of their ports, and the ports of their controllers.
const NODES: [(&str, &str); 3] =
    [("first", "first-controller"), ("second", "second-controller"), ("third", "third-controller")];

/// Internal topics on all three brokers, of which one may be down.
const SPREAD: [(&str, &str); 7] = [
    ("default.replication.factor", "3"),
    ("min.insync.replicas", "2"),
    ("offsets.topic.replication.factor", "3"),
    ("transaction.state.log.replication.factor", "3"),
    ("transaction.state.log.min.isr", "2"),
    ("share.coordinator.state.topic.replication.factor", "3"),
    ("share.coordinator.state.topic.min.isr", "2"),
];

/// Three brokers that are controllers, too.
#[derive(Debug)]
pub(crate) struct KafkaCluster;

impl Service for KafkaCluster {
    fn name(&self) -> &'static str {
        "kafka-cluster"
    }

    fn role(&self) -> Role {
        Role::OnRequest
    }

    fn user(&self) -> &'static str {
        NOBODY
    }

    fn needs(&self) -> Vec<Need> {
        install::java(&kafka::JARS)
    }

    fn ports(&self) -> &'static [&'static str] {
        &["first", "second", "third", "first-controller", "second-controller", "third-controller"]
    }

    fn prepare(&self, server: &Server) -> Result<()> {
        self.configure(server)?;
        let format = |(name, _): &(&str, &str)| {
            kafka::format_storage(server, &kafka::JARS, &format!("{name}.properties"), &[])
        };
        NODES.iter().try_for_each(format)
    }

    fn configure(&self, server: &Server) -> Result<()> {
        let voter = |(number, (_, controller)): (usize, &(&str, &str))| {
            format!("{}@127.0.0.1:{}", number + 1, server.port(controller))
        };
        let voters = NODES.iter().enumerate().map(voter).collect::<Vec<_>>().join(",");
        for (number, (name, controller)) in NODES.iter().enumerate() {
            let (port, controller) = (server.port(name), server.port(controller));
            let own = [
                ("node.id", (number + 1).to_string()),
                ("controller.quorum.voters", voters.clone()),
                ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
                ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
                ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
                ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
                ("log.dirs", server.data().join(name).display().to_string()),
            ];
            let fixed = FOR_TESTS.into_iter().chain(SPREAD).chain(kafka::durability(server));
            server.write(&format!("{name}.properties"), &kafka::properties(fixed, &own))?;
        }
        Ok(())
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        let process = |(name, _): &(&str, &str)| {
            let launch = kafka::broker(server, &kafka::JARS, "256m", &format!("{name}.properties"))?;
            Ok(Process { label: (*name).to_owned(), launch })
        };
        NODES.iter().map(process).collect()
    }

    fn probe(&self, server: &Server) -> Result<String> {
        for (name, _) in NODES {
            let brokers = wire::brokers(server.port(name))?;
            if brokers != NODES.len() {
                bail!("the {name} broker knows {brokers} of {} brokers", NODES.len());
            }
        }
        Ok(format!("Apache Kafka {}, three brokers", kafka::JARS.version))
    }

    fn variable(&self) -> &'static str {
        "STREAM_TEST_KAFKA_CLUSTER_URL"
    }

    fn address(&self, server: &Server) -> String {
        let brokers = NODES.map(|(name, _)| format!("127.0.0.1:{}", server.port(name)));
        format!("kafka://{}", brokers.join(","))
    }
}
