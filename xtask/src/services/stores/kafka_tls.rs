//! Kafka over TLS with passwords and permissions.

use anyhow::Result;

use super::kafka::{self, ALONE, FOR_TESTS};
use super::tls::{self, Certificates};
use crate::services::install::{self, Need};
use crate::services::server::Server;
use crate::services::service::{Process, Role, Service};
use crate::services::user::NOBODY;
use crate::services::wire::kafka as wire;

/// May do everything.
const USER: &str = "stream";

/// May do nothing until somebody permits it.
const GUEST: &str = "guest";

/// One broker with SCRAM over TLS for clients. Its own listener, without either, is for itself and for our question.
#[derive(Debug)]
pub(crate) struct KafkaTls;

impl Service for KafkaTls {
    fn name(&self) -> &'static str {
        "kafka-tls"
    }

    fn role(&self) -> Role {
        Role::OnRequest
    }

    fn user(&self) -> &'static str {
        NOBODY
    }

    fn needs(&self) -> Vec<Need> {
        install::java(&kafka::JARS).into_iter().chain([tls::NEED]).collect()
    }

    fn ports(&self) -> &'static [&'static str] {
        &["main", "internal", "controller"]
    }

    fn prepare(&self, server: &Server) -> Result<()> {
        tls::make(server)?;
        self.configure(server)?;
        let users =
            [USER, GUEST].map(|user| format!("SCRAM-SHA-256=[name={user},password={}]", server.password()));
        let words = ["--add-scram", &users[0], "--add-scram", &users[1]];
        kafka::format_storage(server, &kafka::JARS, "server.properties", &words)
    }

    fn configure(&self, server: &Server) -> Result<()> {
        let [main, internal, controller] = ["main", "internal", "controller"].map(|name| server.port(name));
        let listeners = format!("CLIENT://127.0.0.1:{main},INTERNAL://127.0.0.1:{internal}");
        let login = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let own = [
            ("node.id", "1".to_owned()),
            ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
            ("listeners", format!("{listeners},CONTROLLER://127.0.0.1:{controller}")),
            ("advertised.listeners", listeners),
            (
                "listener.security.protocol.map",
                "CLIENT:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
            ),
            ("inter.broker.listener.name", "INTERNAL".to_owned()),
            ("sasl.enabled.mechanisms", "SCRAM-SHA-256".to_owned()),
            ("listener.name.client.scram-sha-256.sasl.jaas.config", login.to_owned()),
            ("ssl.keystore.type", "PEM".to_owned()),
            ("ssl.keystore.location", Certificates::of(server).key_and_certificate()),
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned()),
            ("super.users", format!("User:{USER};User:ANONYMOUS")),
            ("log.dirs", server.data().join("log").display().to_string()),
        ];
        let fixed = FOR_TESTS.into_iter().chain(ALONE).chain(kafka::durability(server));
        server.write("server.properties", &kafka::properties(fixed, &own)).map(drop)
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        Ok(server.only(kafka::broker(server, &kafka::JARS, "512m", "server.properties")?))
    }

    fn probe(&self, server: &Server) -> Result<String> {
        wire::brokers(server.port("internal"))?;
        tls::shake_hands(server)?;
        Ok(format!("Apache Kafka {} over TLS", kafka::JARS.version))
    }

    fn variable(&self) -> &'static str {
        "STREAM_TEST_KAFKA_TLS_URL"
    }

    fn address(&self, server: &Server) -> String {
        address(server, USER)
    }

    fn more_variables(&self, server: &Server) -> Vec<(&'static str, String)> {
        vec![
            ("STREAM_TEST_KAFKA_TLS_GUEST_URL", address(server, GUEST)),
            ("STREAM_TEST_KAFKA_TLS_CA", Certificates::of(server).authority()),
        ]
    }
}

fn address(server: &Server, user: &str) -> String {
    format!("kafkas://{user}:{}@127.0.0.1:{}", server.password(), server.main_port())
}
