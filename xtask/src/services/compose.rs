//! The same services for Docker Compose: `docker-compose.yml` is printed from the table of services.

use super::service::Service;

/// A service as Compose runs it.
#[derive(Debug, Default)]
pub(crate) struct Container {
    pub(crate) image: &'static str,
    /// Queues and nodes are named after it by some servers.
    pub(crate) hostname: Option<&'static str>,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The port inside, for each of the service's ports that clients use.
    pub(crate) ports: Vec<(&'static str, Inside)>,
    /// What a shell in the container runs to see whether the server works; without one nothing is waited for.
    pub(crate) health: Option<String>,
    /// Where data lies that is kept over restarts.
    pub(crate) data: Option<&'static str>,
    /// A file in the container and its text.
    pub(crate) file: Option<(&'static str, String)>,
}

/// The port a server has in its container.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Inside {
    /// Its usual one.
    Usual(u16),
    /// The one it has outside, which this is unless told otherwise: it tells clients where to connect.
    Same(u16),
}

const HEADER: &str = "\
# The services of the tests, for Docker Compose. Printed from xtask/src/services: change that, not this file.
#
#   docker compose up -d --wait
#
# Ports and passwords can be set by the variables named below; cargo xtask services sets them.
# This file was written without an engine at hand. Not tried: that the images start, that their health checks pass,
# and that the tags exist. Clusters (redis-cluster, kafka-cluster) are not here: cargo xtask services up NAME.
name: ${STREAM_COMPOSE_PROJECT:-stream}
";

/// `${STREAM_POSTGRES_PASSWORD:-stream}` for a service of that name.
pub(crate) fn password(service: &str) -> String {
    format!("${{{}:-stream}}", password_variable(service))
}

/// The variable of a port with its usual value.
pub(crate) fn port(service: &str, name: &str, usual: u16) -> String {
    format!("${{{}:-{usual}}}", port_variable(service, name))
}

pub(crate) fn password_variable(service: &str) -> String {
    format!("STREAM_{}_PASSWORD", upper(service))
}

pub(crate) fn port_variable(service: &str, name: &str) -> String {
    format!("STREAM_{}_{}_PORT", upper(service), upper(name))
}

fn upper(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

/// The whole file.
pub(crate) fn render(services: &[&'static dyn Service]) -> String {
    let containers: Vec<_> =
        services.iter().filter_map(|service| Some((service.name(), service.container()?))).collect();
    let mut text = HEADER.to_owned();
    text += "\nservices:\n";
    for (name, container) in &containers {
        text += &render_service(name, container);
    }
    text += "volumes:\n";
    for (name, _) in containers.iter().filter(|(_, container)| container.data.is_some()) {
        text += &format!("  {name}: {{}}\n");
    }
    text += "\nconfigs:\n";
    for (name, container) in &containers {
        if let Some((_, content)) = &container.file {
            text += &format!("  {name}:\n    content: |\n");
            text += &content.lines().map(|line| format!("      {line}\n")).collect::<String>();
        }
    }
    text
}

fn render_service(name: &str, container: &Container) -> String {
    let mut text = format!("  {name}:\n    image: {}\n", container.image);
    if let Some(hostname) = container.hostname {
        text += &format!("    hostname: {hostname}\n");
    }
    if !container.command.is_empty() {
        text += "    command:\n";
        text +=
            &container.command.iter().map(|word| format!("      - {}\n", quoted(word))).collect::<String>();
    }
    if !container.environment.is_empty() {
        text += "    environment:\n";
        let lines = container.environment.iter();
        text += &lines.map(|(key, value)| format!("      {key}: {}\n", quoted(value))).collect::<String>();
    }
    text += "    ports:\n";
    for (label, inside) in &container.ports {
        let (outside, inside) = match inside {
            Inside::Usual(usual) => (port(name, label, *usual), usual.to_string()),
            Inside::Same(usual) => (port(name, label, *usual), port(name, label, *usual)),
        };
        text += &format!("      - {}\n", quoted(&format!("127.0.0.1:{outside}:{inside}")));
    }
    if let Some(data) = container.data {
        text += &format!("    volumes:\n      - {}\n", quoted(&format!("{name}:{data}")));
    }
    if let Some((target, _)) = container.file {
        text += &format!("    configs:\n      - source: {name}\n        target: {target}\n");
    }
    if let Some(health) = &container.health {
        text += &format!("    healthcheck:\n      test: [\"CMD-SHELL\", {}]\n", quoted(health));
        text += "      interval: 2s\n      timeout: 5s\n      retries: 60\n";
    }
    text + "\n"
}

/// A YAML text in double quotes, which are those of JSON.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::catalogue;

    #[test]
    fn the_file_in_the_repository_is_the_one_printed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker-compose.yml");
        let there = std::fs::read_to_string(path).unwrap_or_default();
        let printed = render(&catalogue::SERVICES);
        assert!(there == printed, "print it again: cargo xtask services compose > docker-compose.yml");
    }

    #[test]
    fn nothing_listens_beyond_loopback() {
        let printed = render(&catalogue::SERVICES);
        let ports = printed.lines().filter(|line| line.contains("_PORT:-") && line.trim().starts_with("- "));
        let published: Vec<_> = ports.filter(|line| line.matches(':').count() >= 3).collect();
        assert!(!published.is_empty());
        assert!(published.iter().all(|line| line.contains("127.0.0.1")), "{published:?}");
    }

    #[test]
    fn variables_are_named_after_the_service() {
        assert_eq!(port("redis-cluster", "first", 7000), "${STREAM_REDIS_CLUSTER_FIRST_PORT:-7000}");
        assert_eq!(password("postgres"), "${STREAM_POSTGRES_PASSWORD:-stream}");
    }
}
