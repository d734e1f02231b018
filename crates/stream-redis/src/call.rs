//! A connection as the verbs use it: one script at a time, its errors judged, its effect confirmed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use fred::{
    interfaces::{ClientLike, Resp3Frame as Frame},
    types::{CustomCommand, Value},
};
use stream_core::{ErrorKind, QueueName, Result};

use crate::{
    Confirmation, RedisConfig,
    bell::Bells,
    error::{At, Effect},
    judge,
    keys::Keys,
    link::{Link, Live},
    locked::locked,
    receipt::Ended,
    reply::Reply,
    script::Script,
};

/// Queues whose keys are remembered; beyond them they are made anew for each call.
const KEYS_KEPT: usize = 4_096;

/// What a driver and its subscriptions share.
pub(crate) struct Connection {
    pub(crate) config: RedisConfig,
    pub(crate) link: Arc<Link>,
    pub(crate) bells: Bells,
    pub(crate) ended: Ended,
    keys: Mutex<HashMap<QueueName, Arc<Keys>>>,
}

impl Connection {
    pub(crate) fn new(link: Link, config: RedisConfig) -> Self {
        let link = Arc::new(link);
        Self {
            bells: Bells::new(link.clone()),
            link,
            config,
            ended: Ended::default(),
            keys: Mutex::default(),
        }
    }

    pub(crate) fn keys(&self, queue: &QueueName) -> Arc<Keys> {
        let mut known = locked(&self.keys);
        if let Some(keys) = known.get(queue) {
            return keys.clone();
        }
        let keys = Arc::new(Keys::new(&self.config.prefix, queue));
        if known.len() < KEYS_KEPT {
            known.insert(queue.clone(), keys.clone());
        }
        keys
    }

    /// Runs a script on the server that has this slot.
    ///
    /// `arguments` makes the keys, with their number first, and the arguments; anew if they have to be
    /// sent again.
    pub(crate) async fn run(
        &self,
        at: At,
        slot: u16,
        script: &'static Script,
        arguments: impl Fn(&mut Vec<Value>) + Send + Sync,
    ) -> Result<Frame> {
        let live = self.link.connected(at).await?;
        if live.is_unjudged() {
            judge::judge(self, &live, at).await?;
        }
        let digest = Value::from_static_str(script.digest.as_str());
        let mut frame = send(&live, at, slot, "EVALSHA", digest, &arguments).await?;
        if frame.refusal().is_some_and(|said| said.starts_with("NOSCRIPT")) {
            // The server was restarted or flushed its scripts: the text makes it known again.
            let text = Value::from_static_str(script.text);
            frame = send(&live, at, slot, "EVAL", text, &arguments).await?;
        }
        match frame.refusal() {
            None => Ok(frame),
            Some(said) => Err(at.said(&said)),
        }
    }

    /// As [`run`](Self::run), and waits for the confirmation that was asked for.
    pub(crate) async fn run_confirmed(
        &self,
        at: At,
        slot: u16,
        script: &'static Script,
        arguments: impl Fn(&mut Vec<Value>) + Send + Sync,
    ) -> Result<Frame> {
        if self.config.confirmation == Confirmation::Answer {
            return self.run(at, slot, script, arguments).await;
        }
        let live = self.link.connected(at).await?;
        let session = live.session();
        let frame = self.run(at, slot, script, arguments).await?;
        self.confirm(at, slot, &live, session).await?;
        Ok(frame)
    }

    /// Waits until the last change on this connection is as safe as asked for.
    async fn confirm(&self, at: At, slot: u16, live: &Live, session: u64) -> Result<()> {
        let (name, wanted, timeout) = match self.config.confirmation {
            Confirmation::Answer => return Ok(()),
            Confirmation::Replicas { replicas, timeout } => ("WAIT", [0, i64::from(replicas)], timeout),
            Confirmation::Disk { replicas, timeout } => ("WAITAOF", [1, i64::from(replicas)], timeout),
        };
        let timeout = Value::from(timeout.as_millis() as i64);
        let arguments: Vec<Value> = match name {
            "WAIT" => vec![wanted[1].into(), timeout],
            _ => vec![wanted[0].into(), wanted[1].into(), timeout],
        };
        let frame = command(live, slot, name, arguments).await.map_err(|error| at.failed(&error))?;
        let unknown = |detail: &str| Err(at.error(ErrorKind::OutcomeUnknown).explained(detail));
        if let Some(said) = frame.refusal() {
            return unknown("stored, but the server refuses to confirm it: see `check`")
                .map_err(|error| error.caused_by(said));
        }
        let confirmed = match frame.number() {
            Some(replicas) => vec![0, replicas],
            None => frame.list().unwrap_or_default().iter().filter_map(Reply::number).collect(),
        };
        // On another connection the server would confirm what was never asked of it.
        if live.session() != session {
            return unknown("the connection was lost before the confirmation came");
        }
        let [local, replicas] = confirmed[..] else { return Err(at.unreadable()) };
        if local < wanted[0] || replicas < wanted[1] {
            return unknown("stored, but not confirmed in time by as many servers as asked for");
        }
        Ok(())
    }
}

async fn send(
    live: &Live,
    at: At,
    slot: u16,
    name: &'static str,
    script: Value,
    arguments: &(impl Fn(&mut Vec<Value>) + Send + Sync),
) -> Result<Frame> {
    let mut values = Vec::with_capacity(64);
    values.push(script);
    arguments(&mut values);
    command(live, slot, name, values).await.map_err(|error| at.failed(&error))
}

/// Sends one command to the server that has this slot.
pub(crate) async fn command(
    live: &Live,
    slot: u16,
    name: &'static str,
    arguments: Vec<Value>,
) -> Result<Frame, fred::error::Error> {
    live.commands.custom_raw(CustomCommand::new_static(name, slot, false), arguments).await
}

/// Puts keys after their number.
pub(crate) fn put_keys<'k>(to: &mut Vec<Value>, keys: impl IntoIterator<Item = &'k Value>) {
    let place = to.len();
    to.push(Value::Null);
    to.extend(keys.into_iter().cloned());
    to[place] = Value::Integer((to.len() - place - 1) as i64);
}

impl Effect {
    pub(crate) fn is_write(self) -> bool {
        self == Self::Writes
    }
}
