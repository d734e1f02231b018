//! ElasticMQ, which speaks the protocol of Amazon SQS.

use anyhow::{Result, bail};

use crate::services::compose::{Container, Inside};
use crate::services::install::{self, Need, jars::Jars};
use crate::services::server::Server;
use crate::services::service::{Process, Service};
use crate::services::user::NOBODY;
use crate::services::wire::http;

static JARS: Jars =
    Jars { name: "elasticmq", version: "1.7.1", artifacts: &["org.elasticmq:elasticmq-server_2.13:1.7.1"] };

/// The port it has in its container.
const USUAL: u16 = 9324;

/// One server, whose queues live in memory.
#[derive(Debug)]
pub(crate) struct Sqs;

impl Service for Sqs {
    fn name(&self) -> &'static str {
        "sqs"
    }

    fn user(&self) -> &'static str {
        NOBODY
    }

    fn needs(&self) -> Vec<Need> {
        install::java(&JARS)
    }

    fn ports(&self) -> &'static [&'static str] {
        &["main"]
    }

    fn configure(&self, server: &Server) -> Result<()> {
        let port = server.main_port().to_string();
        server.write("elasticmq.conf", &settings("127.0.0.1", &port, &port)).map(drop)
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        let settings = format!("-Dconfig.file={}", server.folder.join("elasticmq.conf").display());
        // Without a limit the heap grows to a gigabyte.
        let options = ["-Xmx512m", &settings];
        Ok(server.only(server.java(&JARS, &options, "org.elasticmq.server.Main")?))
    }

    fn probe(&self, server: &Server) -> Result<String> {
        let request = http::Request {
            method: "POST",
            path: "/",
            login: None,
            form: "Action=ListQueues&Version=2012-11-05",
        };
        let answer = http::send(server.main_port(), &request)?;
        if !answer.contains("ListQueuesResult") {
            bail!("the answer holds no list of queues");
        }
        Ok(format!("ElasticMQ {}", JARS.version))
    }

    fn variable(&self) -> &'static str {
        "STREAM_TEST_SQS_URL"
    }

    fn address(&self, server: &Server) -> String {
        format!("http://127.0.0.1:{}", server.main_port())
    }

    fn keeps_data(&self) -> bool {
        false
    }

    fn container(&self) -> Option<Container> {
        // The port outside is only known to Compose, which does not look into the settings file: clients are told
        // addresses by what they asked for, so the usual one does no harm.
        let port = USUAL.to_string();
        Some(Container {
            image: "softwaremill/elasticmq-native:1.7.1",
            ports: vec![("main", Inside::Usual(USUAL))],
            file: Some(("/opt/elasticmq.conf", settings("0.0.0.0", &port, &port))),
            ..Container::default()
        })
    }
}

fn settings(listen: &str, port: &str, told: &str) -> String {
    format!(
        "include classpath(\"application.conf\")\n\
         node-address {{ protocol = http, host = \"127.0.0.1\", port = {told}, context-path = \"\" }}\n\
         rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = \"{listen}\", sqs-limits = strict }}\n\
         rest-stats {{ enabled = false }}\n"
    )
}
