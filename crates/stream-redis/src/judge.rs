//! Whether a server is fit, when it is connected to and when it is checked.

use fred::{
    interfaces::{ClientLike, Resp3Frame as Frame},
    types::{CustomCommand, Value, config::Server},
};
use stream_core::{ErrorKind, Finding, Result};

use crate::{Confirmation, Eviction, call::Connection, error::At, link::Live, reply::Reply};

/// The oldest release whose scripts can say that they may run when the memory is full.
const SERVER_MIN: u32 = 7;

/// One server: the only one, or a master of a cluster.
struct Node<'l> {
    live: &'l Live,
    server: Server,
    at: At,
}

impl<'l> Node<'l> {
    fn all(live: &'l Live, at: At) -> Vec<Self> {
        live.client.active_connections().into_iter().map(|server| Self { live, server, at }).collect()
    }

    async fn ask(&self, name: &'static str, words: &[&'static str]) -> Result<Frame> {
        let mut options = self.live.commands.options().clone();
        options.cluster_node = Some(self.server.clone());
        let call = CustomCommand::new_static(name, None, false);
        let words = words.iter().map(|word| Value::from_static_str(word)).collect();
        let answer = self.live.client.with_options(&options).custom_raw::<Value>(call, words).await;
        answer.map_err(|error| self.at.failed(&error))
    }

    /// A setting; none where the server does not show it.
    async fn setting(&self, name: &'static str) -> Result<Option<String>> {
        let frame = self.ask("CONFIG", &["GET", name]).await?;
        if frame.refusal().is_some() {
            return Ok(None);
        }
        let found = frame.pairs().into_iter().find(|(key, _)| &key[..] == name.as_bytes());
        Ok(found.map(|(_, value)| String::from_utf8_lossy(&value).into_owned()))
    }
}

/// What a server says of itself.
struct Info {
    text: String,
}

impl Info {
    async fn ask(node: &Node<'_>) -> Result<Self> {
        let (frame, at) = (node.ask("INFO", &[]).await?, node.at);
        if let Some(said) = frame.refusal() {
            return Err(at.said(&said));
        }
        let bytes = frame.bytes().ok_or_else(|| at.unreadable())?;
        Ok(Self { text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    fn version(&self) -> &str {
        self.field("redis_version").unwrap_or("0")
    }

    /// The parts of the version, such as 7, 0, 15.
    fn release(&self) -> Vec<u32> {
        self.version().split('.').map(|part| part.parse().unwrap_or(0)).collect()
    }
}

/// Refuses a server that cannot keep what is promised; called once for each connection.
pub(crate) async fn judge(connection: &Connection, live: &Live, at: At) -> Result<()> {
    // What reads can do no harm, and may be how somebody finds out.
    if !at.effect.is_write() {
        return Ok(());
    }
    let session = live.session();
    for node in Node::all(live, at) {
        ensure_fit(connection, &Info::ask(&node).await?, at)?;
    }
    live.note_judged(session);
    Ok(())
}

fn ensure_fit(connection: &Connection, info: &Info, at: At) -> Result<()> {
    if info.release() < vec![SERVER_MIN] {
        let detail = format!("the server has version {}: take Redis 7 or Valkey", info.version());
        return Err(at.config(detail));
    }
    if let Some(policy) = evicting(info)
        && connection.config.eviction == Eviction::Refused
    {
        return Err(at.config(format!(
            "the server throws data away when its memory is full: set `maxmemory-policy noeviction`, not {policy}"
        )));
    }
    if let Confirmation::Disk { .. } = connection.config.confirmation
        && info.release() < vec![7, 2]
    {
        let limit = format!("WAITAOF needs Redis 7.2, the server has {}", info.version());
        return Err(at.error(ErrorKind::Unsupported { feature: "confirmation on disk", limit }));
    }
    Ok(())
}

fn evicting(info: &Info) -> Option<&str> {
    info.field("maxmemory_policy").filter(|policy| *policy != "noeviction")
}

/// What the owner of the server should know; of the nodes of a cluster each thing once.
pub(crate) async fn findings(connection: &Connection) -> Result<Vec<Finding>> {
    let at = At::reads("check");
    let live = connection.link.connected(at).await?;
    let mut findings = Vec::new();
    for node in Node::all(&live, at) {
        let info = Info::ask(&node).await?;
        let mut found = of_node(connection, &info);
        found.extend(durability(&node, &info).await?);
        if connection.link.is_cluster() {
            found.extend(cluster_state(&node).await?);
        }
        let is_new = |finding: &Finding| !findings.contains(finding);
        let new: Vec<Finding> = found.into_iter().filter(is_new).collect();
        findings.extend(new);
    }
    Ok(findings)
}

fn of_node(connection: &Connection, info: &Info) -> Vec<Finding> {
    let mut findings = Vec::new();
    if info.release() < vec![SERVER_MIN] {
        let what = format!("the server has version {}", info.version());
        findings.push(Finding::severe(what, "take Redis 7 or Valkey"));
    }
    if let Some(policy) = evicting(info) {
        let what =
            format!("maxmemory-policy is {policy}: the server throws jobs away when its memory is full");
        findings.push(Finding::severe(what, "set `maxmemory-policy noeviction`"));
    }
    if info.field("role") == Some("slave") {
        findings
            .push(Finding::severe("the server is a replica, which takes no jobs", "connect to the primary"));
    }
    if info.field("cluster_enabled") == Some("1") && !connection.link.is_cluster() {
        let remedy = "give an address with `redis-cluster://`";
        findings
            .push(Finding::severe("the server is part of a cluster, the address is of a single one", remedy));
    }
    findings
}

async fn cluster_state(node: &Node<'_>) -> Result<Option<Finding>> {
    let state = Info {
        text: node
            .ask("CLUSTER", &["INFO"])
            .await?
            .bytes()
            .map_or_else(String::new, |bytes| String::from_utf8_lossy(&bytes).into_owned()),
    };
    let is_whole = state.field("cluster_state") == Some("ok");
    let what = "the cluster does not serve all its slots";
    Ok((!is_whole)
        .then(|| Finding::severe(what, "see `CLUSTER INFO` and `CLUSTER NODES`; bring its masters up")))
}

/// What an acknowledged push means on this server.
async fn durability(node: &Node<'_>, info: &Info) -> Result<Option<Finding>> {
    if info.field("aof_enabled") == Some("0") {
        let what = match node.setting("save").await?.as_deref() {
            Some("") => "nothing is written to disk: a restart of the server loses all jobs",
            _ => {
                "there is no append-only file: a crash of the server loses what came after its last snapshot"
            }
        };
        return Ok(Some(Finding::severe(what, "set `appendonly yes`")));
    }
    if info.field("aof_last_write_status") == Some("err") {
        let remedy = "see the server's log; free its disk";
        return Ok(Some(Finding::severe("the append-only file could not be written", remedy)));
    }
    let always = "set `appendfsync always` where no job may be lost";
    Ok(match node.setting("appendfsync").await?.as_deref() {
        Some("always") => None,
        Some("everysec") => Some(Finding::advice(
            "appendfsync is everysec: a crash of the machine can lose the last second",
            always,
        )),
        Some(_) => Some(Finding::severe(
            "appendfsync is off: a crash of the machine can lose what the system had not written yet",
            always,
        )),
        None => Some(Finding::advice("the server does not show its `appendfsync`", always)),
    })
}
