//! Apache Kafka without ZooKeeper: one broker that is its own controller.

use std::fmt::Write as _;

use anyhow::Result;

use crate::services::compose::{self, Container, Inside};
use crate::services::install::{self, Need, jars::Jars};
use crate::services::launch::Launch;
use crate::services::server::Server;
use crate::services::service::{Process, Role, Service};
use crate::services::user::NOBODY;
use crate::services::wire::kafka as wire;

/// Its logging interface comes without an implementation: without one a broker that fails says nothing.
const LOGGING: &str = "org.slf4j:slf4j-simple:1.7.36";

pub(super) static JARS: Jars =
    Jars { name: "kafka", version: "4.3.1", artifacts: &["org.apache.kafka:kafka_2.13:4.3.1", LOGGING] };

/// Any sixteen bytes do; all our clusters are strangers to each other.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// What tests want of any broker: everything internal small and at once, no topic that nobody created.
pub(super) const FOR_TESTS: [(&str, &str); 13] = [
    ("num.partitions", "1"),
    ("auto.create.topics.enable", "false"),
    ("offsets.topic.num.partitions", "1"),
    ("transaction.state.log.num.partitions", "1"),
    ("share.coordinator.state.topic.num.partitions", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "1000"),
    ("group.share.min.record.lock.duration.ms", "1000"),
    // A broker that was killed may come back only after its session: four seconds instead of twelve.
    ("broker.session.timeout.ms", "2000"),
    ("broker.heartbeat.interval.ms", "500"),
    ("log.cleaner.backoff.ms", "1000"),
    ("controller.listener.names", "CONTROLLER"),
    ("process.roles", "broker,controller"),
];

/// Internal topics on one broker.
pub(super) const ALONE: [(&str, &str); 5] = [
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
];

static NEXT_JARS: Jars =
    Jars { name: "kafka", version: "4.4.0", artifacts: &["org.apache.kafka:kafka_2.13:4.4.0", LOGGING] };

/// One broker.
#[derive(Debug)]
pub(crate) struct Kafka {
    name: &'static str,
    role: Role,
    jars: &'static Jars,
}

impl Kafka {
    pub(crate) const MAIN: Self = Self { name: "kafka", role: Role::Main, jars: &JARS };
    pub(crate) const NEXT: Self = Self { name: "kafka44", role: Role::Extra, jars: &NEXT_JARS };
}

impl Service for Kafka {
    fn name(&self) -> &'static str {
        self.name
    }

    fn role(&self) -> Role {
        self.role
    }

    fn user(&self) -> &'static str {
        NOBODY
    }

    fn needs(&self) -> Vec<Need> {
        install::java(self.jars)
    }

    fn ports(&self) -> &'static [&'static str] {
        &["main", "controller"]
    }

    fn prepare(&self, server: &Server) -> Result<()> {
        self.configure(server)?;
        format_storage(server, self.jars, "server.properties", &[])
    }

    fn configure(&self, server: &Server) -> Result<()> {
        let (port, controller) = (server.main_port(), server.port("controller"));
        let own = [
            ("node.id", "1".to_owned()),
            ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
            ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
            ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
            ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
            ("log.dirs", server.data().join("log").display().to_string()),
        ];
        let text = properties(FOR_TESTS.into_iter().chain(ALONE).chain(durability(server)), &own);
        server.write("server.properties", &text).map(drop)
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        Ok(server.only(broker(server, self.jars, "512m", "server.properties")?))
    }

    fn probe(&self, server: &Server) -> Result<String> {
        wire::brokers(server.main_port())?;
        Ok(format!("Apache Kafka {}", self.jars.version))
    }

    fn variable(&self) -> &'static str {
        "STREAM_TEST_KAFKA_URL"
    }

    fn address(&self, server: &Server) -> String {
        format!("kafka://127.0.0.1:{}", server.main_port())
    }

    fn container(&self) -> Option<Container> {
        if self.role != Role::Main {
            return None;
        }
        let port = compose::port("kafka", "main", 9092);
        let own = [
            ("node.id", "1".to_owned()),
            ("controller.quorum.voters", "1@localhost:9093".to_owned()),
            ("listeners", format!("PLAINTEXT://:{port},INTERNAL://:19092,CONTROLLER://:9093")),
            ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port},INTERNAL://localhost:19092")),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
            ),
            ("inter.broker.listener.name", "INTERNAL".to_owned()),
            ("log.dirs", "/var/lib/kafka/data".to_owned()),
        ];
        let text = properties(FOR_TESTS.into_iter().chain(ALONE), &own);
        Some(Container {
            image: "apache/kafka:4.3.1",
            environment: vec![("CLUSTER_ID", CLUSTER_ID.to_owned())],
            ports: vec![("main", Inside::Same(9092))],
            health: Some(
                "/opt/kafka/bin/kafka-broker-api-versions.sh --bootstrap-server localhost:19092".to_owned(),
            ),
            data: Some("/var/lib/kafka/data"),
            // The image reads this instead of its defaults.
            file: Some(("/mnt/shared/config/server.properties", text)),
            ..Container::default()
        })
    }
}

/// Kafka leaves syncing to the system and relies on its replicas; on one broker an answer means the disk only so.
pub(super) fn durability(server: &Server) -> Option<(&'static str, &'static str)> {
    server.is_synced().then_some(("log.flush.interval.messages", "1"))
}

/// The text of a settings file.
pub(super) fn properties<'a>(
    fixed: impl IntoIterator<Item = (&'a str, &'a str)>,
    own: &'a [(&'a str, String)],
) -> String {
    let mut text = String::new();
    let own = own.iter().map(|(key, value)| (*key, value.as_str()));
    for (key, value) in own.chain(fixed) {
        writeln!(text, "{key}={value}").expect("a text takes any line");
    }
    text
}

/// Makes an empty data folder that of a cluster.
pub(super) fn format_storage(server: &Server, jars: &Jars, settings: &str, more: &[&str]) -> Result<()> {
    let settings = server.folder.join(settings).display().to_string();
    let tool = server.java(jars, &["-Xmx128m"], "kafka.tools.StorageTool")?;
    server.run_to_end(&tool.args(["format", "-t", CLUSTER_ID, "-c", &settings]).args(more.iter().copied()))
}

/// A broker's process.
pub(super) fn broker(server: &Server, jars: &Jars, heap: &str, settings: &str) -> Result<Launch> {
    let heap = format!("-Xmx{heap}");
    let options = [heap.as_str(), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"];
    let settings = server.folder.join(settings).display().to_string();
    Ok(server.java(jars, &options, "kafka.Kafka")?.args([settings]))
}
