//! The driver on Redis, beside its own scripts on a bare client of fred.

mod raw;

use std::{env, time::Duration};

use anyhow::{Context as _, Result, ensure};
use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{CustomCommand, Value, config::Config},
};
use stream_core::{QueueName, async_trait};
use stream_redis::{RedisConfig, RedisDriver};

use super::{Connection, Durability, RawLoop, Target};
use crate::promises::{Bound, Measure, Promise};

const VARIABLE: &str = "STREAM_TEST_REDIS_URL";
/// Sets the server's `appendfsync` for the run, such as `everysec`; as it is unless set.
const FSYNC: &str = "STREAM_BENCH_REDIS_APPENDFSYNC";
/// What all keys begin with, the raw loop's among them.
const PREFIX: &str = "bench";
/// What the driver and the raw loop keep of a queue.
const KEPT: [&str; 6] = ["jobs", "notes", "wake", "ready:default", "leased:default", "delayed:default"];

/// Jobs on the server at `STREAM_TEST_REDIS_URL`.
#[derive(Debug)]
pub(crate) struct Redis;

fn url() -> Result<String> {
    env::var(VARIABLE).with_context(|| format!("set {VARIABLE}: `cargo xtask services env redis` prints it"))
}

async fn connect() -> Result<Client> {
    let client = Client::new(Config::from_url(&url()?)?, None, None, None);
    client.init().await.context("the server does not answer")?;
    Ok(client)
}

async fn ask(client: &Client, name: &'static str, words: &[&str]) -> Result<Value> {
    let words: Vec<Value> = words.iter().map(|word| Value::from(*word)).collect();
    Ok(client.custom(CustomCommand::new_static(name, None, false), words).await?)
}

async fn setting(client: &Client, name: &str) -> Result<String> {
    let Value::Array(found) = ask(client, "CONFIG", &["GET", name]).await? else { return Ok(String::new()) };
    Ok(found.get(1).and_then(Value::as_string).unwrap_or_default())
}

async fn info(client: &Client, section: &str) -> Result<String> {
    ask(client, "INFO", &[section]).await?.as_string().context("the server says nothing of itself")
}

#[async_trait]
impl Target for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn settings(&self) -> Result<Vec<(String, String)>> {
        let client = connect().await?;
        let mut settings = Vec::new();
        for name in ["appendonly", "appendfsync", "save", "maxmemory-policy", "io-threads"] {
            settings.push((name.to_owned(), setting(&client, name).await?));
        }
        let server = info(&client, "server").await?;
        let version = server.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or_default();
        settings.push(("server_version".to_owned(), version.trim().to_owned()));
        Ok(settings)
    }

    async fn durability(&self) -> Result<Durability> {
        let client = connect().await?;
        if let Ok(wanted) = env::var(FSYNC) {
            ask(&client, "CONFIG", &["SET", "appendfsync", &wanted]).await?;
        }
        if setting(&client, "appendonly").await? != "yes" {
            return Ok(Durability::Unsynced("there is no append-only file".to_owned()));
        }
        // Every second is on the disk within a second: the report names it.
        match setting(&client, "appendfsync").await?.as_str() {
            "always" | "everysec" => Ok(Durability::Synced),
            other => Ok(Durability::Unsynced(format!("appendfsync is {other}"))),
        }
    }

    fn crates(&self) -> &'static [&'static str] {
        &["stream-redis", "fred"]
    }

    async fn connect(&self, latency: Duration) -> Result<Connection> {
        ensure!(latency.is_zero(), "this target has no proxy yet that could hold up its traffic");
        let config = RedisConfig::new().prefix(PREFIX);
        Ok(Connection::of(RedisDriver::connect_with(&url()?, config).await?))
    }

    fn raw_is(&self) -> &'static str {
        "the driver's own scripts and keys on one bare fred client for all tasks"
    }

    async fn raw(&self, queue: &QueueName, _: Duration) -> Result<Option<Box<dyn RawLoop>>> {
        Ok(Some(Box::new(raw::RedisLoop::open(connect().await?, connect().await?, queue))))
    }

    fn promises(&self) -> Vec<Promise> {
        vec![
            Promise::new("jobs pushed in batches, per second", Measure::BestPush, Bound::AtLeast(144_000.0)),
            Promise::new("no-op jobs worked, per second", Measure::BestWorked, Bound::AtLeast(75_000.0)),
        ]
    }

    /// Scripts and waits; the commands inside of scripts are no requests.
    async fn requests(&self) -> Result<Option<u64>> {
        let stats = info(&connect().await?, "commandstats").await?;
        let calls = |name: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
            line.and_then(|rest| rest.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        Ok(Some(["evalsha", "eval", "bzpopmin", "client|unblock"].into_iter().map(calls).sum()))
    }

    async fn forget(&self, queue: &QueueName) -> Result<()> {
        let keys = KEPT.map(|name| format!("{PREFIX}:{{{queue}}}:{name}"));
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        ask(&connect().await?, "UNLINK", &keys).await.map(drop)
    }
}
