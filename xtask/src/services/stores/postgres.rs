//! PostgreSQL.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::tls::{self, Certificates};
use crate::services::compose::{self, Container, Inside};
use crate::services::install::{Need, programs};
use crate::services::process_id::Signal;
use crate::services::server::Server;
use crate::services::service::{Process, Role, Service};

/// Who may connect, and how.
const ONLY_TLS: &str = "hostssl all all 127.0.0.1/32 scram-sha-256\n";

const UNSYNCED: [&str; 3] = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/// One server with a password for its superuser.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Postgres {
    Plain,
    /// Refuses connections without TLS.
    Tls,
}

impl Service for Postgres {
    fn name(&self) -> &'static str {
        match self {
            Self::Plain => "postgres",
            Self::Tls => "postgres-tls",
        }
    }

    fn role(&self) -> Role {
        match self {
            Self::Plain => Role::Main,
            Self::Tls => Role::OnRequest,
        }
    }

    fn user(&self) -> &'static str {
        "postgres"
    }

    fn needs(&self) -> Vec<Need> {
        let programs = ["initdb", "postgres", "psql"].map(|program| Need::Program(program, "postgresql"));
        programs.into_iter().chain((*self == Self::Tls).then_some(tls::NEED)).collect()
    }

    fn ports(&self) -> &'static [&'static str] {
        &["main"]
    }

    fn prepare(&self, server: &Server) -> Result<()> {
        let password = server.write("password", server.password())?;
        let initdb = server.launch("initdb")?.args(["--no-sync", "-U", "postgres", "-A", "scram-sha-256"]);
        let words =
            ["-E".to_owned(), "UTF8".to_owned(), "--no-locale".to_owned(), format!("--pwfile={password}")];
        server
            .run_to_end(&initdb.args(words).args(["-D".to_owned(), server.data().display().to_string()]))?;
        if *self == Self::Tls {
            tls::make(server)?;
            let access = server.data().join("pg_hba.conf");
            std::fs::write(access, ONLY_TLS).context("cannot write pg_hba.conf")?;
        }
        Ok(())
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        let data = server.data().display().to_string();
        // No socket in a folder: its path would be too long in a deep checkout.
        let mut settings =
            vec!["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"];
        if !server.is_synced() {
            settings.extend(UNSYNCED);
        }
        let certificates = Certificates::of(server);
        let tls = [
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", certificates.certificate()),
            format!("ssl_key_file={}", certificates.key()),
        ];
        if *self == Self::Tls {
            settings.extend(tls.iter().map(String::as_str));
        }
        let launch = server.launch("postgres")?.args(["-D", &data, "-p", &server.main_port().to_string()]);
        let launch = launch.args(settings.iter().flat_map(|setting| ["-c", setting]));
        // The fast stop; the one on SIGTERM waits for every client.
        Ok(server.only(launch.stopped_by(Signal::Interrupt)))
    }

    fn probe(&self, server: &Server) -> Result<String> {
        let mut psql = Command::new(programs::find("psql")?);
        psql.args([
            "-X",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-Atc",
            "show server_version",
        ]);
        psql.args(["-p", &server.main_port().to_string()])
            .env("PGPASSWORD", server.password())
            .env("PGCONNECT_TIMEOUT", "3");
        if *self == Self::Tls {
            psql.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", Certificates::of(server).authority());
        }
        let version = server.ask(psql)?;
        let over = if *self == Self::Tls { " over TLS" } else { "" };
        Ok(format!("PostgreSQL {}{over}", version.split_whitespace().next().unwrap_or_default()))
    }

    fn variable(&self) -> &'static str {
        match self {
            Self::Plain => "STREAM_TEST_POSTGRES_URL",
            Self::Tls => "STREAM_TEST_POSTGRES_TLS_URL",
        }
    }

    fn more_variables(&self, server: &Server) -> Vec<(&'static str, String)> {
        let authority = ("STREAM_TEST_POSTGRES_TLS_CA", Certificates::of(server).authority());
        if *self == Self::Tls { vec![authority] } else { Vec::new() }
    }

    fn address(&self, server: &Server) -> String {
        let (password, port) = (server.password(), server.main_port());
        format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres")
    }

    fn container(&self) -> Option<Container> {
        (*self == Self::Plain).then(|| Container {
            image: "postgres:17",
            command: ["postgres", "-c", "max_connections=200"].map(str::to_owned).into(),
            environment: vec![("POSTGRES_PASSWORD", compose::password("postgres"))],
            ports: vec![("main", Inside::Usual(5432))],
            health: Some("pg_isready -h 127.0.0.1 -U postgres".to_owned()),
            data: Some("/var/lib/postgresql/data"),
            ..Container::default()
        })
    }
}
