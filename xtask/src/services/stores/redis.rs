//! Redis, one server.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::tls::{self, Certificates};
use crate::services::compose::{self, Container, Inside};
use crate::services::install::{Need, programs};
use crate::services::random;
use crate::services::server::Server;
use crate::services::service::{Process, Role, Service};
use crate::services::wire::resp::{self, Redis as Connection};

/// A server that appends every write to its file before it answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Redis {
    Plain,
    /// Listens for TLS only.
    Tls,
}

impl Service for Redis {
    fn name(&self) -> &'static str {
        match self {
            Self::Plain => "redis",
            Self::Tls => "redis-tls",
        }
    }

    fn role(&self) -> Role {
        match self {
            Self::Plain => Role::Main,
            Self::Tls => Role::OnRequest,
        }
    }

    fn user(&self) -> &'static str {
        "redis"
    }

    fn needs(&self) -> Vec<Need> {
        let server = Need::Program("redis-server", "redis-server");
        let tls = [Need::Program("redis-cli", "redis-tools"), tls::NEED];
        [server].into_iter().chain(tls.into_iter().filter(|_| *self == Self::Tls)).collect()
    }

    fn ports(&self) -> &'static [&'static str] {
        &["main"]
    }

    fn prepare(&self, server: &Server) -> Result<()> {
        if *self == Self::Tls { tls::make(server) } else { Ok(()) }
    }

    fn configure(&self, server: &Server) -> Result<()> {
        let folder = server.data().display().to_string();
        let port = server.main_port();
        let settings = match self {
            Self::Plain => settings(server, port, &folder),
            Self::Tls => settings(server, 0, &folder) + &tls_settings(server, port),
        };
        server.write("redis.conf", &settings).map(drop)
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        let settings = server.folder.join("redis.conf").display().to_string();
        Ok(server.only(server.launch("redis-server")?.args([settings])))
    }

    fn probe(&self, server: &Server) -> Result<String> {
        if *self == Self::Tls {
            return probe_tls(server);
        }
        let mut redis = Connection::connect(server.main_port(), server.password())?;
        write_something(&mut redis)?;
        version(&mut redis)
    }

    fn variable(&self) -> &'static str {
        match self {
            Self::Plain => "STREAM_TEST_REDIS_URL",
            Self::Tls => "STREAM_TEST_REDIS_TLS_URL",
        }
    }

    fn address(&self, server: &Server) -> String {
        let (password, port) = (server.password(), server.main_port());
        let scheme = if *self == Self::Tls { "rediss" } else { "redis" };
        format!("{scheme}://:{password}@127.0.0.1:{port}/0")
    }

    fn more_variables(&self, server: &Server) -> Vec<(&'static str, String)> {
        let authority = ("STREAM_TEST_REDIS_TLS_CA", Certificates::of(server).authority());
        if *self == Self::Tls { vec![authority] } else { Vec::new() }
    }

    fn container(&self) -> Option<Container> {
        if *self == Self::Tls {
            return None;
        }
        let password = compose::password("redis");
        let words =
            ["redis-server", "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--requirepass"];
        Some(Container {
            image: "redis:7",
            command: words.iter().map(|word| (*word).to_owned()).chain([password.clone()]).collect(),
            ports: vec![("main", Inside::Usual(6379))],
            health: Some(format!("redis-cli -a {password} ping | grep -q PONG")),
            data: Some("/data"),
            ..Container::default()
        })
    }
}

/// The settings of one server or node.
pub(super) fn settings(server: &Server, port: u16, folder: &str) -> String {
    let password = server.password();
    let sync = if server.is_synced() { "always" } else { "no" };
    format!(
        "bind 127.0.0.1\nport {port}\ndir \"{folder}\"\nrequirepass {password}\nsave \"\"\nappendonly yes\n\
         appendfsync {sync}\ndaemonize no\n"
    )
}

fn tls_settings(server: &Server, port: u16) -> String {
    let certificates = Certificates::of(server);
    format!(
        "tls-port {port}\ntls-cert-file \"{}\"\ntls-key-file \"{}\"\ntls-ca-cert-file \"{}\"\n\
         tls-auth-clients no\n",
        certificates.certificate(),
        certificates.key(),
        certificates.authority()
    )
}

fn probe_tls(server: &Server) -> Result<String> {
    let mut client = Command::new(programs::find("redis-cli")?);
    client.args(["--tls", "--cacert", &Certificates::of(server).authority(), "-h", "127.0.0.1", "-p"]);
    client.arg(server.main_port().to_string()).env("REDISCLI_AUTH", server.password());
    let info = server.ask({
        client.args(["INFO", "server"]);
        client
    })?;
    let version = resp::field(&info, "redis_version").context("no version in the answer")?;
    Ok(format!("Redis {version} over TLS"))
}

/// A key that goes by itself.
pub(super) fn write_something(redis: &mut Connection) -> Result<()> {
    let key = format!("xtask:{}", random::password()?);
    redis.ask(&["SET", &key, "1", "PX", "1000"]).map(drop)
}

pub(super) fn version(redis: &mut Connection) -> Result<String> {
    let info = redis.ask(&["INFO", "server"])?;
    let name = if resp::field(&info, "server_name") == Some("valkey") { "Valkey" } else { "Redis" };
    let version = resp::field(&info, "valkey_version").or_else(|| resp::field(&info, "redis_version"));
    Ok(format!("{name} {}", version.unwrap_or("of unknown version")))
}
