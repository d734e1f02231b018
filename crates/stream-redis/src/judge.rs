//! Whether a server is fit, when it is connected to and when it is checked.

use fred::types::Value;
use stream_core::{ErrorKind, Finding, Result};

use crate::{
    Confirmation, Eviction,
    call::{Connection, command},
    error::At,
    link::Live,
    reply::Reply,
};

/// The oldest release whose scripts can say that they may run when the memory is full.
const SERVER_MIN: u32 = 7;
/// Any: who is asked is one server.
const ANY_SLOT: u16 = 0;

/// What a server says of itself.
struct Info {
    text: String,
}

impl Info {
    async fn ask(live: &Live, slot: u16, at: At) -> Result<Self> {
        let frame = command(live, slot, "INFO", Vec::new()).await.map_err(|error| at.failed(&error))?;
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
    if !at.effect.is_write() {
        return Ok(());
    }
    let session = live.session();
    let info = Info::ask(live, ANY_SLOT, at).await?;
    if info.release() < vec![SERVER_MIN] {
        let detail = format!("the server has version {}: take Redis 7 or Valkey", info.version());
        return Err(at.config(detail));
    }
    if let Some(policy) = evicting(&info)
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
    live.note_judged(session);
    Ok(())
}

fn evicting(info: &Info) -> Option<&str> {
    info.field("maxmemory_policy").filter(|policy| *policy != "noeviction")
}

/// What the owner of the server should know.
pub(crate) async fn findings(connection: &Connection) -> Result<Vec<Finding>> {
    let at = At::reads("check");
    let live = connection.link.connected(at).await?;
    let info = Info::ask(&live, ANY_SLOT, at).await?;
    let mut findings = Vec::new();
    if info.release() < vec![SERVER_MIN] {
        let what = format!("the server has version {}", info.version());
        findings.push(Finding::severe(what, "take Redis 7 or Valkey"));
    }
    if let Some(policy) = evicting(&info) {
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
    findings.extend(durability(&live, &info, at).await?);
    Ok(findings)
}

/// What an acknowledged push means on this server.
async fn durability(live: &Live, info: &Info, at: At) -> Result<Option<Finding>> {
    if info.field("aof_enabled") == Some("0") {
        let saves = setting(live, "save", at).await?;
        let what = match saves.as_deref() {
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
    Ok(match setting(live, "appendfsync", at).await?.as_deref() {
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

/// A setting; none where the server does not show it.
async fn setting(live: &Live, name: &'static str, at: At) -> Result<Option<String>> {
    let arguments = vec![Value::from_static_str("GET"), Value::from_static_str(name)];
    let frame = command(live, ANY_SLOT, "CONFIG", arguments).await.map_err(|error| at.failed(&error))?;
    if frame.refusal().is_some() {
        return Ok(None);
    }
    let bytes =
        frame.pairs().into_iter().find_map(|(key, value)| (&key[..] == name.as_bytes()).then_some(value));
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
