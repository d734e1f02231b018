//! Servers as containers: Docker Compose does the work, with the ports and passwords that we chose.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::server::{Durability, Server};
use super::{catalogue, compose};
use crate::process;

/// Whether an engine and Compose are there and answer.
pub(crate) fn answers() -> bool {
    let works = |words: &[&str]| {
        let mut docker = Command::new("docker");
        let status =
            docker.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    works(&["version", "--format", "{{.Server.Version}}"]) && works(&["compose", "version"])
}

/// Starts the server's container and waits until its health check passes.
pub(crate) fn start(server: &Server) -> Result<String> {
    let name = server.service.name();
    let Some(container) = server.service.container() else {
        bail!("{name} is not described for Compose: use --engine native");
    };
    if server.choices.durability == Durability::Unsynced {
        eprintln!("{name}: --no-fsync has no effect with Compose");
    }
    fs::write(server.folder.join("docker-compose.yml"), compose::render(&catalogue::SERVICES))
        .context("cannot write docker-compose.yml")?;
    process::run(&mut command(server, &["up", "-d", "--wait", name]))?;
    Ok(format!("container of {}", container.image))
}

/// Ends the container; data stays in its volume until the instance is deleted.
pub(crate) fn stop(server: &Server) -> Result<()> {
    process::run(&mut command(server, &["stop", server.service.name()]))
}

/// Deletes the container and its volume.
pub(crate) fn delete(server: &Server) -> Result<()> {
    process::run(&mut command(server, &["down", "--volumes"]))
}

/// `kill`, `pause`, `unpause` or `logs`.
pub(crate) fn run(server: &Server, verb: &str) -> Result<()> {
    process::run(&mut command(server, &[verb, server.service.name()]))
}

/// What the engine says of the container's state.
pub(crate) fn state(server: &Server) -> Result<String> {
    let mut command = command(server, &["ps", "--all", "--format", "{{.State}} {{.Health}}"]);
    let said = process::output(command.arg(server.service.name()))?;
    Ok(if said.trim().is_empty() { "not started".to_owned() } else { said.trim().to_owned() })
}

fn command(server: &Server, words: &[&str]) -> Command {
    let name = server.service.name();
    let mut command = Command::new("docker");
    command.args(["compose", "--project-name", &project(server), "--file"]);
    command.arg(server.folder.join("docker-compose.yml")).args(words);
    for (label, port) in &server.choices.ports {
        command.env(compose::port_variable(name, label), port.to_string());
    }
    command.env(compose::password_variable(name), server.password());
    command
}

/// One project per server: whatever is done to one leaves the others alone.
fn project(server: &Server) -> String {
    let mut hasher = DefaultHasher::new();
    server.folder.hash(&mut hasher);
    format!("stream-{}-{:016x}", server.service.name(), hasher.finish())
}
