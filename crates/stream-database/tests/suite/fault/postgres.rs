//! Each verb when its statement is not sent, and when its answer is lost after the server has obeyed.

use std::{net::ToSocketAddrs, slice, time::Duration};

use sqlx::{PgPool, postgres::PgPoolOptions};
use stream_core::{
    Delivery, Draft, Driver, ErrorKind, NewJob, Outcome, Pushed, QueueName, Reserve, Result, Settlement,
    Subscription,
};
use stream_database::DatabaseDriver;
use stream_testkit::proxy::Proxy;
use tokio::time::{sleep, timeout};

use crate::backends::postgres::own::Own;

const CALL: Duration = Duration::from_millis(300);
const LEASE: Duration = Duration::from_millis(400);
const NOT_LATER: Duration = Duration::from_secs(5);

/// A driver behind a proxy, and one with a way of its own that sees what the server has.
struct Scene {
    own: Own,
    proxy: Proxy,
    pool: PgPool,
    driver: DatabaseDriver,
    direct: DatabaseDriver,
    queue: QueueName,
}

impl Scene {
    async fn new(test: &str) -> Option<Self> {
        let own = Own::new(test)?;
        let direct = own.migrated().await;
        let (_, host) = own.url.rsplit_once('@').unwrap();
        let host = host.split('/').next().unwrap();
        let server = host.to_socket_addrs().unwrap().next().unwrap();
        let proxy = Proxy::start(server).await.unwrap();
        let url = own.url.replace(host, &proxy.address().to_string());
        let options = PgPoolOptions::new().max_connections(1).acquire_timeout(CALL / 2);
        let pool = options.test_before_acquire(false).connect(&url).await.unwrap();
        let config = own.config().call_timeout(CALL);
        let driver = DatabaseDriver::from_pool(pool.clone(), config).await.unwrap();
        Some(Self { own, proxy, pool, driver, direct, queue: Self::queue("default") })
    }

    /// The server obeys the next statement; nobody hears of it.
    async fn lose_answers(&self) {
        self.prepare_statements().await;
        self.until_idle().await;
        self.proxy.eat_replies();
    }

    /// A statement that is new to a connection is first asked about, and never sent without that answer.
    async fn prepare_statements(&self) {
        let other = Self::queue("other");
        let subscription = self.driver.subscribe(slice::from_ref(&other)).await.unwrap();
        self.driver.push(&other, &[job()]).await.remove(0).unwrap();
        let error = String::from("no luck");
        let retry = Outcome::Retry { after: Duration::ZERO, error: error.clone() };
        for outcome in [retry, Outcome::Bury { error }, Outcome::Done] {
            let delivery = subscription.reserve(&other, Reserve::new(1)).await.unwrap().remove(0);
            self.driver.extend(&other, &[&delivery], LEASE).await.remove(0).unwrap();
            self.driver.settle(&other, &[Settlement::new(&delivery, &outcome)]).await.remove(0).unwrap();
            self.driver.dead_letters().unwrap().retry_all(&other).await.unwrap();
        }
    }

    /// The connection was given back, and asked whether it still works.
    async fn until_idle(&self) {
        let idle = async {
            while self.pool.num_idle() == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(NOT_LATER, idle).await.expect("the connection is given back");
    }

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).unwrap()
    }

    /// Nothing reaches the server, old connections are closed.
    async fn unplug(&self) {
        self.proxy.refuse().await;
        self.proxy.cut().await;
    }

    async fn plug_in(&self) {
        self.proxy.pass().await;
        self.proxy.cut().await;
        let answers = async { while self.driver.check().await.is_err() {} };
        timeout(NOT_LATER, answers).await.expect("the driver connects again by itself");
    }

    async fn push(&self, job: &NewJob) -> Result<Pushed> {
        self.driver.push(&self.queue, slice::from_ref(job)).await.remove(0)
    }

    async fn subscribe(&self, driver: &DatabaseDriver) -> Box<dyn Subscription> {
        driver.subscribe(slice::from_ref(&self.queue)).await.unwrap()
    }

    async fn take(&self) -> Delivery {
        let subscription = self.subscribe(&self.direct).await;
        let mut taken = subscription.reserve(&self.queue, Reserve::new(1)).await.unwrap();
        taken.pop().expect("a job is ready")
    }

    async fn settle(&self, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
        self.driver.settle(&self.queue, &[Settlement::new(delivery, outcome)]).await.remove(0)
    }

    /// Ready, reserved and dead jobs on the server, once a call that was given up has had its effect.
    async fn until(&self, wanted: (u64, u64, u64)) {
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

    async fn end(self) {
        self.direct.close().await.unwrap();
        self.pool.close().await;
        self.own.drop_tables().await;
    }
}

fn job() -> NewJob {
    Draft::named("x", &1).into_job().unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind().clone()
}

#[tokio::test]
async fn a_push_without_an_answer_is_unknown_and_recognised_when_repeated() {
    let name = "fault::postgres::a_push_without_an_answer_is_unknown_and_recognised_when_repeated";
    let Some(scene) = Scene::new(name).await else { return };
    let job = job();

    scene.lose_answers().await;
    assert_eq!(kind(scene.push(&job).await), ErrorKind::OutcomeUnknown);
    scene.until((1, 0, 0)).await;
    scene.plug_in().await;

    assert_eq!(scene.push(&job).await.unwrap(), Pushed::AlreadyStored(job.envelope.id));
    scene.until((1, 0, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_unavailable_and_nothing_is_changed() {
    let name = "fault::postgres::what_cannot_be_sent_is_unavailable_and_nothing_is_changed";
    let Some(scene) = Scene::new(name).await else { return };
    let subscription = scene.subscribe(&scene.driver).await;
    let (stored, job) = (job(), job());
    scene.push(&stored).await.unwrap();
    let delivery = scene.take().await;

    scene.unplug().await;
    // The first call finds the connection that was cut, and cannot know what was read of it.
    assert_eq!(kind(scene.driver.depth(&scene.queue).await), ErrorKind::Unavailable);
    assert_eq!(kind(scene.push(&job).await), ErrorKind::Unavailable);
    let request = Reserve::new(1).lease(LEASE);
    assert_eq!(kind(subscription.reserve(&scene.queue, request).await), ErrorKind::Unavailable);
    assert_eq!(kind(scene.settle(&delivery, &Outcome::Done).await), ErrorKind::Unavailable);
    let extended = scene.driver.extend(&scene.queue, &[&delivery], LEASE).await.remove(0);
    assert_eq!(kind(extended), ErrorKind::Unavailable);
    let letters = scene.driver.dead_letters().unwrap();
    assert_eq!(kind(letters.retry_all(&scene.queue).await), ErrorKind::Unavailable);
    let depth = scene.direct.depth(&scene.queue).await.unwrap();
    assert_eq!(depth.ready + depth.reserved, 1);

    scene.plug_in().await;
    scene.push(&job).await.unwrap();
    scene.settle(&delivery, &Outcome::Done).await.unwrap();
    scene.until((1, 0, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn a_reserve_without_an_answer_leaves_its_jobs_to_their_leases() {
    let name = "fault::postgres::a_reserve_without_an_answer_leaves_its_jobs_to_their_leases";
    let Some(scene) = Scene::new(name).await else { return };
    let subscription = scene.subscribe(&scene.driver).await;
    scene.push(&job()).await.unwrap();

    scene.lose_answers().await;
    let lost = subscription.reserve(&scene.queue, Reserve::new(1).lease(LEASE)).await;
    assert_eq!(kind(lost), ErrorKind::OutcomeUnknown);
    scene.plug_in().await;
    scene.until((1, 0, 0)).await;

    let delivery = scene.take().await;
    assert_eq!((delivery.attempt, delivery.lost), (1, 1));
    scene.settle(&delivery, &Outcome::Done).await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn an_outcome_without_an_answer_counts_once() {
    let Some(scene) = Scene::new("fault::postgres::an_outcome_without_an_answer_counts_once").await else {
        return;
    };
    let error = String::from("no luck");
    let outcomes = [
        (Outcome::Done, (0, 0, 0)),
        (Outcome::Retry { after: Duration::ZERO, error: error.clone() }, (1, 0, 0)),
        (Outcome::Release { after: Duration::ZERO }, (1, 0, 0)),
        (Outcome::Bury { error }, (0, 0, 1)),
    ];
    for (outcome, left) in outcomes {
        scene.push(&job()).await.unwrap();
        let delivery = scene.take().await;

        scene.lose_answers().await;
        assert_eq!(kind(scene.settle(&delivery, &outcome).await), ErrorKind::OutcomeUnknown, "{outcome:?}");
        scene.until(left).await;
        scene.plug_in().await;

        assert_eq!(kind(scene.settle(&delivery, &outcome).await), ErrorKind::LeaseLost, "{outcome:?}");
        scene.until(left).await;
        scene.direct.clear(&scene.queue).await.unwrap();
        scene.direct.dead_letters().unwrap().clear(&scene.queue).await.unwrap();
    }
    scene.end().await;
}

#[tokio::test]
async fn an_extend_without_an_answer_can_be_repeated() {
    let Some(scene) = Scene::new("fault::postgres::an_extend_without_an_answer_can_be_repeated").await else {
        return;
    };
    scene.push(&job()).await.unwrap();
    let delivery = scene.take().await;
    let long = Duration::from_secs(60);

    scene.lose_answers().await;
    let lost = scene.driver.extend(&scene.queue, &[&delivery], long).await.remove(0);
    assert_eq!(kind(lost), ErrorKind::OutcomeUnknown);
    scene.plug_in().await;

    assert!(scene.driver.is_current(&delivery));
    scene.driver.extend(&scene.queue, &[&delivery], long).await.remove(0).unwrap();
    scene.settle(&delivery, &Outcome::Done).await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn a_letter_whose_retry_was_not_answered_is_one_job() {
    let Some(scene) = Scene::new("fault::postgres::a_letter_whose_retry_was_not_answered_is_one_job").await
    else {
        return;
    };
    scene.push(&job()).await.unwrap();
    let delivery = scene.take().await;
    scene.settle(&delivery, &Outcome::Bury { error: "hopeless".into() }).await.unwrap();
    let letters = scene.driver.dead_letters().unwrap();
    let letter = letters.list(&scene.queue, None, 1).await.unwrap().remove(0);

    scene.lose_answers().await;
    assert_eq!(kind(letters.retry(&scene.queue, &letter.id).await), ErrorKind::OutcomeUnknown);
    scene.until((1, 0, 0)).await;
    scene.plug_in().await;

    assert!(!letters.retry(&scene.queue, &letter.id).await.unwrap());
    scene.until((1, 0, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn a_migration_without_an_answer_can_be_repeated() {
    let Some(scene) = Scene::new("fault::postgres::a_migration_without_an_answer_can_be_repeated").await
    else {
        return;
    };
    scene.own.drop_tables().await;

    scene.proxy.eat_replies();
    assert!(scene.driver.migrate().await.unwrap_err().is_transient());
    scene.plug_in().await;

    scene.driver.migrate().await.unwrap();
    scene.push(&job()).await.unwrap();
    scene.end().await;
}
