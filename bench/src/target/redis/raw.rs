//! The scripts of the driver, sent by hand.

use std::{ops::Range, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use fred::{
    clients::Client,
    interfaces::{ClientLike, Resp3Frame as Frame},
    types::{CustomCommand, Value},
};
use stream_core::{JobId, QueueName, async_trait};
use tokio::{sync::OnceCell, task::JoinSet};

use super::PREFIX;
use crate::{
    job::{Kind, raw_job, raw_number, raw_run},
    target::{RawLoop, Shape},
};

/// What a lease lasts, in microseconds: nothing comes back during a round.
const LEASE: i64 = 3_600_000_000;
/// What follows the id in the member of a lease, as long as the driver makes it.
const TOKEN_BYTES: usize = 49;
/// As many as the driver takes or stores in one call.
const STEP: usize = 500;

macro_rules! script {
    ($name:literal) => {
        include_str!(concat!("../../../../crates/stream-redis/src/scripts/", $name, ".lua"))
    };
}

const PUSH: &str = script!("push");
const RESERVE: &str = concat!("#!lua flags=allow-oom\nlocal limit = nil\n", script!("reserve"));
const FINISH: &str = script!("finish");
const SETTLE: &str = script!("settle");

/// Scripts on one client, which all tasks share as a program would, and one that waits.
#[derive(Clone)]
pub(super) struct RedisLoop {
    client: Client,
    waiting: Client,
    keys: Arc<Keys>,
    scripts: Arc<OnceCell<Scripts>>,
}

struct Keys {
    push: [Value; 4],
    reserve: Vec<Value>,
    finish: [Value; 4],
    settle: Vec<Value>,
    wake: Value,
    jobs: Value,
}

/// Their digests, by the server.
struct Scripts {
    push: Value,
    reserve: Value,
    finish: Value,
    settle: Value,
}

/// A job that was taken.
struct Taken {
    id: Bytes,
    bytes: Vec<u8>,
}

impl RedisLoop {
    pub(super) fn open(client: Client, waiting: Client, queue: &QueueName) -> Self {
        let key = |name: &str| Value::Bytes(Bytes::from(format!("{PREFIX}:{{{queue}}}:{name}")));
        let levels =
            |name: &str| ["critical", "high", "default", "low"].map(|level| key(&format!("{name}:{level}")));
        let waits = || [levels("ready"), levels("leased"), levels("delayed")].into_iter().flatten();
        let names = |names: &[&str]| names.iter().map(|name| key(name)).collect::<Vec<_>>();
        let numbered =
            |keys: Vec<Value>| [Value::Integer(keys.len() as i64)].into_iter().chain(keys).collect();
        let three = Value::Integer(3);
        let keys = Keys {
            push: [three.clone(), key("jobs"), key("ready:default"), key("wake")],
            reserve: numbered(names(&["jobs", "notes", "wake"]).into_iter().chain(waits()).collect()),
            finish: [three, key("jobs"), key("notes"), key("leased:default")],
            settle: numbered(
                names(&["jobs", "notes", "wake", "unique", "claims", "dead"])
                    .into_iter()
                    .chain(waits())
                    .collect(),
            ),
            wake: key("wake"),
            jobs: key("jobs"),
        };
        Self { client, waiting, keys: Arc::new(keys), scripts: Arc::default() }
    }

    /// As the driver, which has sent them before.
    async fn scripts(&self) -> Result<&Scripts> {
        let load = async |text: &'static str| -> Result<Value> {
            let words = vec![Value::from_static_str("LOAD"), Value::from_static_str(text)];
            Ok(self.client.custom(CustomCommand::new_static("SCRIPT", None, false), words).await?)
        };
        self.scripts
            .get_or_try_init(|| async {
                Ok(Scripts {
                    push: load(PUSH).await?,
                    reserve: load(RESERVE).await?,
                    finish: load(FINISH).await?,
                    settle: load(SETTLE).await?,
                })
            })
            .await
    }

    async fn run(
        &self,
        script: &Value,
        keys: &[Value],
        arguments: impl Iterator<Item = Value>,
    ) -> Result<Frame> {
        let mut words = Vec::with_capacity(1 + keys.len() + arguments.size_hint().0);
        words.push(script.clone());
        words.extend_from_slice(keys);
        words.extend(arguments);
        match self.client.custom_raw(CustomCommand::new_static("EVALSHA", None, false), words).await? {
            Frame::SimpleError { data, .. } => bail!("the server says {data}"),
            frame => Ok(frame),
        }
    }

    async fn insert(&self, payloads: Vec<Vec<u8>>) -> Result<()> {
        let count = payloads.len() as i64;
        let words = payloads.into_iter().flat_map(|payload| {
            let id = Bytes::copy_from_slice(JobId::new().as_bytes());
            [Value::Bytes(id), Value::Bytes(payload.into())]
        });
        let stored = self.run(&self.scripts().await?.push, &self.keys.push, words).await?;
        ensure!(
            matches!(stored, Frame::Number { data, .. } if data == count),
            "not all were stored: {stored:?}"
        );
        Ok(())
    }

    async fn reserve(&self, batch: usize, token: &Bytes) -> Result<Vec<Taken>> {
        let words = [Value::Integer(batch as i64), Value::Integer(LEASE), Value::Bytes(token.clone())];
        let frame = self.run(&self.scripts().await?.reserve, &self.keys.reserve, words.into_iter()).await?;
        let Frame::Array { data, .. } = frame else { return Ok(Vec::new()) };
        let count = match data.first() {
            Some(Frame::Number { data, .. }) => usize::try_from(data >> 10)?,
            other => bail!("no number but {other:?}"),
        };
        // Notes stand behind each job if there are any.
        let has_notes = data.len() == 2 + 3 * count;
        let mut parts = data.into_iter().skip(2);
        let mut taken = Vec::with_capacity(count);
        while let (Some(id), Some(job)) = (parts.next(), parts.next()) {
            let mut bytes = blob(job)?.to_vec();
            // Deliveries that ended with a retry.
            bytes[8] = match if has_notes { parts.next() } else { None } {
                Some(Frame::BlobString { data, .. }) => data[3],
                _ => 0,
            };
            taken.push(Taken { id: blob(id)?, bytes });
        }
        Ok(taken)
    }

    async fn finish(&self, ids: &[Bytes], token: &Bytes) -> Result<()> {
        let members = ids.iter().map(|id| member(id, token));
        let ended = self.run(&self.scripts().await?.finish, &self.keys.finish, members).await?;
        let count = ids.len() as i64;
        ensure!(
            matches!(ended, Frame::Number { data, .. } if data == count),
            "not all were ended: {ended:?}"
        );
        Ok(())
    }

    async fn put_back(&self, ids: &[Bytes], token: &Bytes) -> Result<()> {
        let words = ids.iter().flat_map(|id| {
            let (outcome, error) = (Value::from_static_str("retry"), Value::from_static_str("fails once"));
            [outcome, Value::Integer(2), member(id, token), Value::Integer(0), error]
        });
        self.run(&self.scripts().await?.settle, &self.keys.settle, words).await.map(drop)
    }

    async fn push_some(&self, numbers: Range<u64>, batch: usize) -> Result<()> {
        for from in numbers.clone().step_by(batch.min(STEP)) {
            self.insert((from..numbers.end.min(from + batch.min(STEP) as u64)).map(raw_job).collect())
                .await?;
        }
        Ok(())
    }

    async fn work_some(&self, batch: usize, kind: Kind, task: usize) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for round in 0_u64.. {
            let token = token(task, round);
            let taken = self.reserve(batch.min(STEP / 2), &token).await?;
            if taken.is_empty() {
                break;
            }
            let (mut done, mut failed) = (Vec::with_capacity(batch), Vec::new());
            for Taken { id, mut bytes } in taken {
                match raw_run(&mut bytes, kind).await {
                    true => {
                        numbers.push(raw_number(&bytes));
                        done.push(id);
                    }
                    false => failed.push(id),
                }
            }
            if !failed.is_empty() {
                self.put_back(&failed, &token).await?;
            }
            if !done.is_empty() {
                self.finish(&done, &token).await?;
            }
        }
        Ok(numbers)
    }
}

fn token(task: usize, round: u64) -> Bytes {
    let mut token = vec![b'.'; TOKEN_BYTES];
    token[..8].copy_from_slice(&round.to_be_bytes());
    token[8..16].copy_from_slice(&(task as u64).to_be_bytes());
    token.into()
}

fn member(id: &Bytes, token: &Bytes) -> Value {
    let mut member = Vec::with_capacity(id.len() + token.len());
    member.extend_from_slice(id);
    member.extend_from_slice(token);
    Value::Bytes(member.into())
}

fn blob(frame: Frame) -> Result<Bytes> {
    match frame {
        Frame::BlobString { data, .. } => Ok(data),
        other => bail!("no bytes but {other:?}"),
    }
}

#[async_trait]
impl RawLoop for RedisLoop {
    async fn push(&self, numbers: Range<u64>, shape: Shape) -> Result<()> {
        let each = (numbers.end - numbers.start).div_ceil(shape.tasks as u64).max(1);
        let mut tasks = JoinSet::new();
        for from in numbers.clone().step_by(each as usize) {
            let (this, part) = (self.clone(), from..numbers.end.min(from + each));
            tasks.spawn(async move { this.push_some(part, shape.batch).await });
        }
        tasks.join_all().await.into_iter().collect()
    }

    async fn push_one(&self, payload: Vec<u8>) -> Result<()> {
        self.insert(vec![payload]).await
    }

    async fn work(&self, shape: Shape, kind: Kind) -> Result<Vec<u64>> {
        let mut tasks = JoinSet::new();
        for task in 0..shape.tasks {
            let this = self.clone();
            tasks.spawn(async move { this.work_some(shape.batch, kind, task).await });
        }
        let worked: Result<Vec<_>> = tasks.join_all().await.into_iter().collect();
        Ok(worked?.concat())
    }

    async fn take(&self, jobs: usize) -> Result<Vec<u64>> {
        let (mut numbers, mut taken) = (Vec::with_capacity(jobs), Vec::with_capacity(jobs));
        for round in 0..jobs as u64 {
            let token = token(usize::MAX, round);
            for Taken { id, bytes } in self.reserve(1, &token).await? {
                numbers.push(raw_number(&bytes));
                taken.push((id, token.clone()));
            }
        }
        for (id, token) in taken {
            self.finish(&[id], &token).await?;
        }
        Ok(numbers)
    }

    async fn next(&self) -> Result<Vec<u8>> {
        let token = token(0, 0);
        loop {
            if let Some(Taken { id, bytes }) = self.reserve(1, &token).await?.pop() {
                self.finish(&[id], &token).await?;
                return Ok(bytes);
            }
            let words = vec![self.keys.wake.clone(), Value::Integer(10)];
            let call = CustomCommand::new_static("BZPOPMIN", None, true);
            self.waiting.custom_raw(call, words).await?;
        }
    }

    async fn left(&self) -> Result<u64> {
        let call = CustomCommand::new_static("HLEN", None, false);
        let count: Value = self.client.custom(call, vec![self.keys.jobs.clone()]).await?;
        count.as_u64().context("no number")
    }
}
