//! What one module per store says about its server, and nothing of how servers are kept running.

use std::fmt::Debug;

use anyhow::Result;

use super::compose::Container;
use super::install::Need;
use super::launch::Launch;
use super::server::Server;

/// When a service is started without having been named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// By `services up`.
    Main,
    /// For the fault tier and the tests of TLS, where a test or a person asks for it.
    OnRequest,
    /// With `--extras`: another version or another make of a main service.
    Extra,
}

/// One process of a server.
#[derive(Debug)]
pub(crate) struct Process {
    /// Names the process among those of its server.
    pub(crate) label: String,
    pub(crate) launch: Launch,
}

/// A kind of server. Implemented once per store; the table is in `catalogue.rs`.
pub(crate) trait Service: Debug + Sync {
    /// What people type.
    fn name(&self) -> &'static str;

    fn role(&self) -> Role {
        Role::Main
    }

    /// The user that runs it where we are root.
    fn user(&self) -> &'static str;

    /// What has to be on the machine.
    fn needs(&self) -> Vec<Need>;

    /// Names of the ports it listens on; clients connect to the first.
    fn ports(&self) -> &'static [&'static str];

    /// Fills the empty data folder, once.
    fn prepare(&self, _server: &Server) -> Result<()> {
        Ok(())
    }

    /// Writes settings, before each start.
    fn configure(&self, _server: &Server) -> Result<()> {
        Ok(())
    }

    /// What to start, helpers first.
    fn processes(&self, server: &Server) -> Result<Vec<Process>>;

    /// What is left to do once the processes run, repeated until it succeeds.
    fn join(&self, _server: &Server) -> Result<()> {
        Ok(())
    }

    /// Asks the server something only a working one can answer; returns its make and version.
    fn probe(&self, server: &Server) -> Result<String>;

    /// The variable that tells tests the address. Given from outside, it wins over a server of ours.
    fn variable(&self) -> &'static str;

    /// The value of [`variable`](Self::variable).
    fn address(&self, server: &Server) -> String;

    /// More that tests have to know.
    fn more_variables(&self, _server: &Server) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Whether what it answered for survives `kill` and `restart`.
    fn keeps_data(&self) -> bool {
        true
    }

    /// The same server for Docker Compose.
    fn container(&self) -> Option<Container> {
        None
    }
}
