//! MariaDB, which stands for MySQL in the main services.

use std::process::Command;

use anyhow::Result;

use crate::services::compose::{self, Container, Inside};
use crate::services::install::{Need, programs};
use crate::services::server::Server;
use crate::services::service::{Process, Service};

/// One server with a database and a user `stream`.
#[derive(Debug)]
pub(crate) struct MariaDb;

impl Service for MariaDb {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    fn user(&self) -> &'static str {
        "mysql"
    }

    fn needs(&self) -> Vec<Need> {
        ["mariadb-install-db", "mariadbd", "mariadb"]
            .map(|program| Need::Program(program, "mariadb-server"))
            .into()
    }

    fn ports(&self) -> &'static [&'static str] {
        &["main"]
    }

    fn prepare(&self, server: &Server) -> Result<()> {
        let data = format!("--datadir={}", server.data().display());
        let words = ["--no-defaults", &data, "--auth-root-authentication-method=normal", "--skip-test-db"];
        server.run_to_end(&server.launch("mariadb-install-db")?.args(words))
    }

    fn configure(&self, server: &Server) -> Result<()> {
        server.write("init.sql", &users(server.password())).map(drop)
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        let launch = server.launch("mariadbd")?.args([
            "--no-defaults".to_owned(),
            format!("--datadir={}", server.data().display()),
            format!("--init-file={}", server.folder.join("init.sql").display()),
            format!("--port={}", server.main_port()),
            "--bind-address=127.0.0.1".to_owned(),
            // Relative to the data folder: a whole path would be too long in a deep checkout.
            "--socket=server.sock".to_owned(),
            "--pid-file=server.pid".to_owned(),
            "--skip-name-resolve".to_owned(),
            "--max-connections=300".to_owned(),
            "--innodb-buffer-pool-size=128M".to_owned(),
            format!("--innodb-flush-log-at-trx-commit={}", u8::from(server.is_synced())),
        ]);
        Ok(server.only(launch))
    }

    fn probe(&self, server: &Server) -> Result<String> {
        let mut client = Command::new(programs::find("mariadb")?);
        client.args(["--no-defaults", "--protocol=tcp", "-h127.0.0.1", "-ustream", "--connect-timeout=3"]);
        client.args(["-P", &server.main_port().to_string(), "-N", "-B", "-e", "select version()", "stream"]);
        client.env("MYSQL_PWD", server.password());
        let version = server.ask(client)?;
        Ok(format!("MariaDB {}", version.trim().split('-').next().unwrap_or_default()))
    }

    fn variable(&self) -> &'static str {
        "STREAM_TEST_MYSQL_URL"
    }

    fn address(&self, server: &Server) -> String {
        let (password, port) = (server.password(), server.main_port());
        format!("mysql://stream:{password}@127.0.0.1:{port}/stream")
    }

    fn container(&self) -> Option<Container> {
        let password = || compose::password("mariadb");
        Some(Container {
            image: "mariadb:11.8",
            command: ["--max-connections=300", "--skip-name-resolve"].map(str::to_owned).into(),
            environment: vec![
                ("MARIADB_ROOT_PASSWORD", password()),
                ("MARIADB_DATABASE", "stream".to_owned()),
                ("MARIADB_USER", "stream".to_owned()),
                ("MARIADB_PASSWORD", password()),
            ],
            ports: vec![("main", Inside::Usual(3306))],
            health: Some("healthcheck.sh --connect --innodb_initialized".to_owned()),
            data: Some("/var/lib/mysql"),
            ..Container::default()
        })
    }
}

/// Run at each start, so every statement can be repeated; one per line, as the server wants it.
pub(super) fn users(password: &str) -> String {
    let lines = [
        "CREATE DATABASE IF NOT EXISTS stream;".to_owned(),
        format!("CREATE USER IF NOT EXISTS 'stream'@'127.0.0.1' IDENTIFIED BY '{password}';"),
        "GRANT ALL ON *.* TO 'stream'@'127.0.0.1' WITH GRANT OPTION;".to_owned(),
        format!("ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';"),
    ];
    lines.join("\n") + "\n"
}
