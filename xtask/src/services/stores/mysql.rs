//! MySQL itself, an extra: Debian has it in its unstable release only, where versions move.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::mariadb;
use crate::services::install::foreign::Foreign;
use crate::services::install::{Need, download};
use crate::services::launch::Launch;
use crate::services::server::Server;
use crate::services::service::{Process, Role, Service};
use crate::services::user::NOBODY;

static PACKAGES: Foreign = Foreign {
    name: "mysql",
    release: "sid",
    packages: &["mysql-server-core", "mysql-client-core"],
    left_out: &["perl", "libperl"],
};

/// One server with a database and a user `stream`.
#[derive(Debug)]
pub(crate) struct MySql;

/// Where the unpacked packages lie. Their programs run through their own loader with their own libraries.
struct Root(PathBuf);

impl Service for MySql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn role(&self) -> Role {
        Role::Extra
    }

    fn user(&self) -> &'static str {
        NOBODY
    }

    fn needs(&self) -> Vec<Need> {
        let programs = [Need::Program("apt-get", "apt"), Need::Program("dpkg-deb", "dpkg")];
        programs.into_iter().chain([Need::Download(&PACKAGES)]).collect()
    }

    fn ports(&self) -> &'static [&'static str] {
        &["main"]
    }

    fn prepare(&self, server: &Server) -> Result<()> {
        server.run_to_end(&Root::of(server).server(server)?.args(["--initialize-insecure"]))
    }

    fn configure(&self, server: &Server) -> Result<()> {
        server.write("init.sql", &mariadb::users(server.password())).map(drop)
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        let synced = u8::from(server.is_synced());
        let launch = Root::of(server).server(server)?.args([
            format!("--init-file={}", server.folder.join("init.sql").display()),
            format!("--port={}", server.main_port()),
            "--bind-address=127.0.0.1".to_owned(),
            "--socket=server.sock".to_owned(),
            "--pid-file=server.pid".to_owned(),
            "--mysqlx=OFF".to_owned(),
            "--skip-name-resolve".to_owned(),
            "--max-connections=300".to_owned(),
            "--innodb-buffer-pool-size=128M".to_owned(),
            format!("--innodb-flush-log-at-trx-commit={synced}"),
            format!("--sync-binlog={synced}"),
        ]);
        Ok(server.only(launch))
    }

    fn probe(&self, server: &Server) -> Result<String> {
        let mut client = Root::of(server).client();
        client.args([
            "--no-defaults",
            "--protocol=tcp",
            "-h127.0.0.1",
            "-ustream",
            "--connect-timeout=3",
            "-N",
            "-B",
        ]);
        client.args(["-P", &server.main_port().to_string(), "-e", "select version()", "stream"]);
        client.env("MYSQL_PWD", server.password());
        let answer = server.ask(client)?;
        Ok(format!("MySQL {}", answer.lines().last().unwrap_or_default().trim()))
    }

    fn variable(&self) -> &'static str {
        "STREAM_TEST_MYSQL_URL"
    }

    fn address(&self, server: &Server) -> String {
        let (password, port) = (server.password(), server.main_port());
        format!("mysql://stream:{password}@127.0.0.1:{port}/stream")
    }
}

impl Root {
    fn of(server: &Server) -> Self {
        Self(download::in_folder(&PACKAGES, &server.shared))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn server(&self, server: &Server) -> Result<Launch> {
        let mut launch = server.launch("sh")?;
        launch.program = self.loader();
        Ok(launch.args(self.loading("usr/sbin/mysqld")).args([
            "--no-defaults".to_owned(),
            format!("--basedir={}", self.path("usr")),
            format!("--lc-messages-dir={}", self.path("usr/share/mysql")),
            format!("--plugin-dir={}", self.path("usr/lib/mysql/plugin")),
            format!("--datadir={}", server.data().display()),
            // Its usual value is a folder that does not exist here, and it refuses to start.
            "--secure-file-priv=NULL".to_owned(),
        ]))
    }

    fn client(&self) -> Command {
        let mut command = Command::new(self.loader());
        command.args(self.loading("usr/bin/mysql"));
        command
    }

    fn loader(&self) -> PathBuf {
        self.0.join(format!("usr/lib64/ld-linux-{}.so.2", std::env::consts::ARCH.replace('_', "-")))
    }

    fn loading(&self, program: &str) -> [String; 3] {
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        ["--library-path".to_owned(), self.path(&libraries), self.path(program)]
    }
}
