//! Keys of one test alone: on the server that all share, or on a server of its own.

use std::{
    fmt::Debug,
    slice,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{CustomCommand, Value},
};
use stream_core::{
    Delivery, Draft, Driver, ErrorKind, NewJob, Outcome, Pushed, QueueName, Reserve, Result, Settlement,
    Subscription,
};
use stream_redis::{RedisConfig, RedisDriver};
use stream_testkit::{Skip, service_url, services::PrivateServer};
use tokio::time::{sleep, timeout};

use super::{SINGLE, bare};

pub(crate) const NOT_LATER: Duration = Duration::from_secs(5);

/// Keys of one test alone.
pub(crate) struct Own {
    pub(crate) url: String,
    prefix: String,
    /// A client without this driver.
    pub(crate) client: Client,
    pub(crate) server: Option<PrivateServer>,
}

impl Own {
    /// On the server that all share.
    pub(crate) async fn shared(test: &str) -> Option<Self> {
        Self::at(test, service_url(SINGLE).map(|url| (url, None))).await
    }

    /// On a server of its own, whose settings may be changed.
    pub(crate) async fn private(test: &str) -> Option<Self> {
        let server = PrivateServer::start("redis");
        Self::at(test, server.map(|server| (server.variable(SINGLE).to_owned(), Some(server)))).await
    }

    async fn at(test: &str, server: Result<(String, Option<PrivateServer>), Skip>) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        match server {
            Ok((url, server)) => {
                let count = COUNT.fetch_add(1, Ordering::Relaxed);
                let prefix = format!("own{}-{count}", std::process::id());
                Some(Self { client: bare(&url).await, url, prefix, server })
            }
            Err(skip) => {
                skip.report(test);
                None
            }
        }
    }

    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::new().prefix(&self.prefix)
    }

    pub(crate) async fn driver(&self) -> RedisDriver {
        self.with(self.config()).await
    }

    pub(crate) async fn with(&self, config: RedisConfig) -> RedisDriver {
        RedisDriver::connect_with(&self.url, config).await.unwrap()
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}:{{{}}}:{name}", self.prefix, queue())
    }

    pub(crate) fn server(&mut self) -> &mut PrivateServer {
        self.server.as_mut().unwrap()
    }

    /// Sends one command of words, without the driver.
    pub(crate) async fn ask(&self, words: &[&str]) -> Value {
        let words: Vec<Value> = words.iter().map(|word| Value::from(*word)).collect();
        self.send(words).await
    }

    /// As `ask`, with bytes.
    pub(crate) async fn send(&self, mut words: Vec<Value>) -> Value {
        let name = words.remove(0).as_string().unwrap();
        self.client.custom(CustomCommand::new(name, None, false), words).await.unwrap()
    }

    /// Removes the keys of the test.
    pub(crate) async fn end(self) {
        let Value::Array(keys) = self.ask(&["KEYS", &format!("{}:*", self.prefix)]).await else { return };
        if !keys.is_empty() {
            self.send([Value::from("UNLINK")].into_iter().chain(keys).collect()).await;
        }
    }
}

pub(crate) fn queue() -> QueueName {
    QueueName::new("default").unwrap()
}

pub(crate) fn job() -> NewJob {
    Draft::named("x", &1).into_job().unwrap()
}

pub(crate) fn kind<T: Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind().clone()
}

pub(crate) async fn push(driver: &RedisDriver, job: &NewJob) -> Result<Pushed> {
    driver.push(&queue(), slice::from_ref(job)).await.remove(0)
}

pub(crate) async fn subscribe(driver: &RedisDriver) -> Box<dyn Subscription> {
    driver.subscribe(slice::from_ref(&queue())).await.unwrap()
}

/// One job that is ready.
pub(crate) async fn take(driver: &RedisDriver) -> Delivery {
    let taken = subscribe(driver).await.reserve(&queue(), Reserve::new(1)).await;
    taken.unwrap().pop().expect("a job is ready")
}

pub(crate) async fn settle(driver: &RedisDriver, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
    driver.settle(&queue(), &[Settlement::new(delivery, outcome)]).await.remove(0)
}

/// Ready, reserved and dead jobs.
pub(crate) async fn counts(driver: &RedisDriver) -> (u64, u64, u64) {
    let depth = driver.depth(&queue()).await.unwrap();
    (depth.ready, depth.reserved, depth.dead.unwrap())
}

/// Waits until a condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let held = async {
        while !holds().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(NOT_LATER, held).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
