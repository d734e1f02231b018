//! RabbitMQ with its management interface, and the port mapper of Erlang that it needs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::tls::{self, Certificates};
use crate::services::compose::{self, Container, Inside};
use crate::services::install::Need;
use crate::services::launch::Launch;
use crate::services::server::Server;
use crate::services::service::{Process, Role, Service};
use crate::services::wire::{self, http};

/// Not the wrapper on the path, which changes user and folder.
const PROGRAM: &str = "rabbitmq-server";

/// Loopback for connections between nodes, and no busy waiting on two cores; `-noinput` since standard input is empty.
const ERLANG: &str =
    "-noinput -kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none";

/// One node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RabbitMq {
    Plain,
    /// Takes clients over TLS only; management stays without.
    Tls,
}

/// The part of the overview that is read.
#[derive(Deserialize)]
struct Overview {
    rabbitmq_version: String,
}

impl Service for RabbitMq {
    fn name(&self) -> &'static str {
        match self {
            Self::Plain => "rabbitmq",
            Self::Tls => "rabbitmq-tls",
        }
    }

    fn role(&self) -> Role {
        match self {
            Self::Plain => Role::Main,
            Self::Tls => Role::OnRequest,
        }
    }

    fn user(&self) -> &'static str {
        "rabbitmq"
    }

    fn needs(&self) -> Vec<Need> {
        let programs = [PROGRAM, "epmd"].map(|program| Need::Program(program, "rabbitmq-server"));
        programs.into_iter().chain((*self == Self::Tls).then_some(tls::NEED)).collect()
    }

    fn ports(&self) -> &'static [&'static str] {
        &["main", "management", "mapper", "distribution"]
    }

    fn prepare(&self, server: &Server) -> Result<()> {
        if *self == Self::Tls { tls::make(server) } else { Ok(()) }
    }

    fn configure(&self, server: &Server) -> Result<()> {
        let port = |name| server.port(name);
        let settings = format!(
            "{}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
             default_user = stream\ndefault_pass = {}\nlog.console = true\ndisk_free_limit.absolute = 50MB\n\
             vm_memory_high_watermark.absolute = 1GB\n",
            self.listeners(server),
            port("management"),
            server.password()
        );
        server.write("rabbitmq.conf", &settings)?;
        server.write("enabled_plugins", "[rabbitmq_management].\n").map(drop)
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        let mapper = server.port("mapper");
        let mut epmd = server.launch("epmd")?.args(["-port", &mapper.to_string(), "-address", "127.0.0.1"]);
        epmd.stop_limit = Duration::from_secs(2);
        let node = node(server.launch(PROGRAM)?, server, &server.folder);
        Ok(vec![
            Process { label: "mapper".to_owned(), launch: epmd.helping_on(mapper) },
            Process { label: "node".to_owned(), launch: node },
        ])
    }

    fn probe(&self, server: &Server) -> Result<String> {
        let login = Some(("stream", server.password()));
        let get = |path| {
            let request = http::Request { method: "GET", path, login, form: "" };
            http::send(server.port("management"), &request)
        };
        let overview: Overview = serde_json::from_str(&get("/api/overview")?).context("an odd overview")?;
        match self {
            Self::Plain => wire::greet_amqp(server.main_port())?,
            Self::Tls => tls::shake_hands(server)?,
        }
        let over = if *self == Self::Tls { " over TLS" } else { "" };
        Ok(format!("RabbitMQ {}{over}", overview.rabbitmq_version))
    }

    fn variable(&self) -> &'static str {
        match self {
            Self::Plain => "STREAM_TEST_AMQP_URL",
            Self::Tls => "STREAM_TEST_AMQP_TLS_URL",
        }
    }

    fn address(&self, server: &Server) -> String {
        let (password, port) = (server.password(), server.main_port());
        let scheme = if *self == Self::Tls { "amqps" } else { "amqp" };
        format!("{scheme}://stream:{password}@127.0.0.1:{port}/%2f")
    }

    fn more_variables(&self, server: &Server) -> Vec<(&'static str, String)> {
        let (password, port) = (server.password(), server.port("management"));
        let management = format!("http://stream:{password}@127.0.0.1:{port}");
        match self {
            Self::Plain => vec![("STREAM_TEST_AMQP_MANAGEMENT_URL", management)],
            Self::Tls => vec![
                ("STREAM_TEST_AMQP_TLS_MANAGEMENT_URL", management),
                ("STREAM_TEST_AMQP_TLS_CA", Certificates::of(server).authority()),
            ],
        }
    }

    fn container(&self) -> Option<Container> {
        (*self == Self::Plain).then(|| Container {
            image: "rabbitmq:4-management",
            hostname: Some("rabbitmq"),
            environment: vec![
                ("RABBITMQ_DEFAULT_USER", "stream".to_owned()),
                ("RABBITMQ_DEFAULT_PASS", compose::password("rabbitmq")),
            ],
            ports: vec![("main", Inside::Usual(5672)), ("management", Inside::Usual(15672))],
            health: Some("rabbitmq-diagnostics -q check_port_connectivity".to_owned()),
            data: Some("/var/lib/rabbitmq"),
            ..Container::default()
        })
    }
}

impl RabbitMq {
    fn listeners(&self, server: &Server) -> String {
        let port = server.main_port();
        let certificates = Certificates::of(server);
        match self {
            Self::Plain => format!("listeners.tcp.1 = 127.0.0.1:{port}"),
            Self::Tls => format!(
                "listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\n\
                 ssl_options.certfile = {}\nssl_options.keyfile = {}\nssl_options.verify = verify_none",
                certificates.authority(),
                certificates.certificate(),
                certificates.key()
            ),
        }
    }
}

/// `folder` is the server's, as the node sees it.
pub(super) fn node(launch: Launch, server: &Server, folder: &Path) -> Launch {
    let in_folder = |name: &str| folder.join(name).display().to_string();
    let in_data = |name: &str| folder.join("data").join(name).display().to_string();
    let port = |name| server.port(name).to_string();
    launch
        // With it the script becomes the Erlang machine instead of waiting for it, so that signals reach the server.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", port("mapper"))
        // On `localhost`, so that the machine's own name, which may resolve to anything, is never asked for.
        .env("RABBITMQ_NODENAME", "stream@localhost")
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port("main"))
        .env("RABBITMQ_DIST_PORT", port("distribution"))
        .env("RABBITMQ_MNESIA_BASE", in_data("mnesia"))
        .env("RABBITMQ_LOG_BASE", in_data("log"))
        .env("RABBITMQ_CONFIG_FILE", in_folder("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", in_folder("enabled_plugins"))
        .env("RABBITMQ_PID_FILE", in_data("pid"))
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG)
}
