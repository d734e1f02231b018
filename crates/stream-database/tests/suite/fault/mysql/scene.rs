//! A driver behind a proxy that loses what it is told to lose.

use std::{net::ToSocketAddrs, slice, time::Duration};

use stream_core::{
    DeadLetterId, Delivery, Draft, Driver, ErrorKind, NewJob, Outcome, Pushed, QueueName, RateLimit, Reserve,
    Result, Settlement, Subscription,
};
use stream_database::DatabaseDriver;
use stream_testkit::proxy::Proxy;
use tokio::time::{sleep, timeout};

use crate::backends::mysql::own::Own;

const CALL: Duration = Duration::from_millis(300);
pub(crate) const LEASE: Duration = Duration::from_millis(400);
const NOT_LATER: Duration = Duration::from_secs(5);
/// Longer than a test may take: who answers sooner was told.
const LONG: Duration = Duration::from_secs(60);

/// A driver behind a proxy, and one with a way of its own that sees what the server has.
pub(crate) struct Scene {
    pub(crate) own: Own,
    pub(crate) proxy: Proxy,
    pub(crate) driver: DatabaseDriver,
    pub(crate) direct: DatabaseDriver,
    pub(crate) queue: QueueName,
}

impl Scene {
    pub(crate) async fn new(test: &str) -> Option<Self> {
        let own = Own::new(test)?;
        let direct = own.migrated().await;
        let (_, host) = own.url.rsplit_once('@').unwrap();
        let host = host.split('/').next().unwrap();
        let server = host.to_socket_addrs().unwrap().next().unwrap();
        let proxy = Proxy::start(server).await.unwrap();
        let url = own.url.replace(host, &proxy.address().to_string());
        let config = own.config().pool_size(1).connect_timeout(CALL / 2).call_timeout(CALL);
        let config = config.poll_intervals(LONG, LONG);
        let driver = DatabaseDriver::connect_with(&url, config).await.unwrap();
        Some(Self { own, proxy, driver, direct, queue: Self::queue("default") })
    }

    /// The server obeys the next statement; nobody hears of it.
    pub(crate) async fn lose_answers(&self) {
        self.prepare_statements().await;
        self.proxy.eat_replies();
    }

    /// Makes a call of prepared statements and loses the answer to the nth, counted from 1.
    pub(crate) async fn losing_answer<T>(&self, nth: u64, call: impl Future<Output = T>) -> T {
        // Long enough for this test to see a statement before its answer has passed.
        self.proxy.delay(Duration::ZERO, CALL / 10);
        let before = self.proxy.traffic().requests.chunks;
        let lose = async {
            while self.proxy.traffic().requests.chunks < before + nth {
                sleep(Duration::from_millis(1)).await;
            }
            self.proxy.eat_replies();
        };
        tokio::join!(call, lose).0
    }

    /// A statement that is new to a connection is first asked about, and never sent without that answer.
    pub(crate) async fn prepare_statements(&self) {
        let other = Self::queue("other");
        let subscription = self.driver.subscribe(slice::from_ref(&other)).await.unwrap();
        let first = job();
        for _ in 0..2 {
            self.driver.push(&other, slice::from_ref(&first)).await.remove(0).unwrap();
        }
        let error = String::from("no luck");
        let retry = Outcome::Retry { after: Duration::ZERO, error: error.clone() };
        for outcome in [retry, Outcome::Bury { error }, Outcome::Done] {
            let delivery = subscription.reserve(&other, Reserve::new(1)).await.unwrap().remove(0);
            self.driver.extend(&other, &[&delivery], LEASE).await.remove(0).unwrap();
            self.driver.settle(&other, &[Settlement::new(&delivery, &outcome)]).await.remove(0).unwrap();
            self.driver.dead_letters().unwrap().retry_all(&other).await.unwrap();
        }
        for _ in 0..2 {
            self.driver.push(&other, &[job()]).await.remove(0).unwrap();
            subscription.reserve(&other, limited(u32::MAX)).await.unwrap();
        }
        self.driver.clear(&other).await.unwrap();
        let letters = self.driver.dead_letters().unwrap();
        letters.list(&other, None, 1).await.unwrap();
        letters.remove(&other, &DeadLetterId::new(1_i64.to_be_bytes())).await.unwrap();
    }

    pub(crate) fn queue(name: &str) -> QueueName {
        QueueName::new(name).unwrap()
    }

    /// Nothing reaches the server, old connections are closed.
    pub(crate) async fn unplug(&self) {
        self.proxy.refuse().await;
        self.proxy.cut().await;
    }

    pub(crate) async fn plug_in(&self) {
        self.proxy.pass().await;
        self.proxy.cut().await;
        let answers = async { while self.driver.check().await.is_err() {} };
        timeout(NOT_LATER, answers).await.expect("the driver connects again by itself");
    }

    pub(crate) async fn push(&self, job: &NewJob) -> Result<Pushed> {
        self.driver.push(&self.queue, slice::from_ref(job)).await.remove(0)
    }

    pub(crate) async fn subscribe(&self, driver: &DatabaseDriver) -> Box<dyn Subscription> {
        driver.subscribe(slice::from_ref(&self.queue)).await.unwrap()
    }

    pub(crate) async fn take(&self) -> Delivery {
        let subscription = self.subscribe(&self.direct).await;
        let mut taken = subscription.reserve(&self.queue, Reserve::new(1)).await.unwrap();
        taken.pop().expect("a job is ready")
    }

    pub(crate) async fn settle(&self, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
        self.driver.settle(&self.queue, &[Settlement::new(delivery, outcome)]).await.remove(0)
    }

    /// Ready, reserved and dead jobs on the server, once a call that was given up has had its effect.
    pub(crate) async fn until(&self, wanted: (u64, u64, u64)) {
        let reached = async {
            loop {
                let depth = self.direct.depth(&self.queue).await.unwrap();
                if (depth.ready, depth.reserved, depth.dead.unwrap()) == wanted {
                    return;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(NOT_LATER, reached).await.unwrap_or_else(|_| panic!("{wanted:?} never came"));
    }

    pub(crate) async fn end(self) {
        self.direct.close().await.unwrap();
        self.driver.close().await.unwrap();
        self.own.drop_tables().await;
    }
}

pub(crate) fn job() -> NewJob {
    Draft::named("x", &1).into_job().unwrap()
}

pub(crate) fn limited(limit: u32) -> Reserve {
    Reserve::new(1).lease(LONG).rate_limit(RateLimit::new(limit, Duration::from_secs(60)))
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind().clone()
}
