//! Each verb when it cannot be sent, and when its answer is lost after the broker has obeyed.

use std::{net::ToSocketAddrs, slice, time::Duration};

use stream_core::{
    Delivery, Draft, Driver, ErrorKind, NewJob, Outcome, Pushed, QueueName, Reserve, Result, Settlement,
    Subscription,
};
use stream_rabbitmq::RabbitMqDriver;
use stream_testkit::{proxy::Proxy, service_url};
use tokio::time::{sleep, timeout};

use crate::backend::{VARIABLE, config, fresh_queue};

const CALL: Duration = Duration::from_millis(500);
const NOT_LATER: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(60);

/// A driver behind a proxy, and one with a way of its own that sees what the broker has.
struct Scene {
    proxy: Proxy,
    driver: RabbitMqDriver,
    direct: RabbitMqDriver,
    queue: QueueName,
}

impl Scene {
    async fn new(test: &str) -> Option<Self> {
        let url = match service_url(VARIABLE) {
            Ok(url) => url,
            Err(skip) => {
                skip.report(test);
                return None;
            }
        };
        let (start, host) = url.rsplit_once('@').unwrap();
        let (host, vhost) = host.split_once('/').unwrap();
        let server = host.to_socket_addrs().unwrap().next().unwrap();
        let proxy = Proxy::start(server).await.unwrap();
        let through = format!("{start}@{}/{vhost}", proxy.address());
        let impatient = config().call_timeout(CALL).connect_timeout(CALL);
        let driver = RabbitMqDriver::connect_with(&through, impatient).await.unwrap();
        let direct = RabbitMqDriver::connect_with(&url, config()).await.unwrap();
        let queue = fresh_queue();
        direct.depth(&queue).await.unwrap();
        let scene = Self { proxy, driver, direct, queue };
        // Declared, so that the verb under test is the first that is not answered.
        scene.plug_in().await;
        Some(scene)
    }

    /// Nothing reaches the broker, and what was connected no longer is.
    async fn unplug(&self) {
        self.proxy.refuse().await;
        self.proxy.cut().await;
    }

    async fn plug_in(&self) {
        self.proxy.pass().await;
        self.proxy.cut().await;
        let answers = async { while self.driver.depth(&self.queue).await.is_err() {} };
        timeout(NOT_LATER * 2, answers).await.expect("the driver connects again by itself");
    }

    async fn push(&self, job: &NewJob) -> Result<Pushed> {
        self.driver.push(&self.queue, slice::from_ref(job)).await.remove(0)
    }

    async fn subscribe(&self, driver: &RabbitMqDriver) -> Box<dyn Subscription> {
        driver.subscribe(slice::from_ref(&self.queue)).await.unwrap()
    }

    async fn take(&self, subscription: &dyn Subscription) -> Delivery {
        let taken = async {
            loop {
                let taken = subscription.reserve(&self.queue, Reserve::new(1).lease(LEASE)).await;
                if let Some(delivery) = taken.ok().and_then(|mut taken| taken.pop()) {
                    return delivery;
                }
                // An outage ends.
                let _: Result<_> = subscription.ready(Duration::from_secs(1)).await;
            }
        };
        timeout(NOT_LATER * 2, taken).await.expect("a job is ready")
    }

    async fn settle(&self, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
        self.driver.settle(&self.queue, &[Settlement::new(delivery, outcome)]).await.remove(0)
    }

    /// Ready and dead jobs on the broker, once what was given up has had its effect.
    async fn until(&self, wanted: (u64, u64)) {
        let reached = async {
            loop {
                let depth = self.direct.depth(&self.queue).await.unwrap();
                if (depth.ready, depth.dead.unwrap()) == wanted {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(NOT_LATER, reached).await.unwrap_or_else(|_| panic!("{wanted:?} never came"));
    }

    async fn end(self) {
        self.direct.close().await.unwrap();
    }
}

fn job() -> NewJob {
    Draft::named("x", &1).into_job().unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind().clone()
}

#[tokio::test]
async fn a_push_without_an_answer_is_unknown_and_may_be_there() {
    let Some(scene) =
        Scene::new("fault::answers::a_push_without_an_answer_is_unknown_and_may_be_there").await
    else {
        return;
    };
    scene.push(&job()).await.unwrap();
    scene.until((1, 0)).await;

    scene.proxy.eat_replies();
    assert_eq!(kind(scene.push(&job()).await), ErrorKind::OutcomeUnknown);
    scene.until((2, 0)).await;

    scene.plug_in().await;
    scene.push(&job()).await.unwrap();
    scene.until((3, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_unavailable_and_changes_nothing() {
    let Some(scene) =
        Scene::new("fault::answers::what_cannot_be_sent_is_unavailable_and_changes_nothing").await
    else {
        return;
    };
    let subscription = scene.subscribe(&scene.driver).await;
    scene.push(&job()).await.unwrap();

    scene.unplug().await;
    // The first call finds the connection that was cut, and cannot know what was read of it.
    assert_eq!(kind(scene.driver.depth(&scene.queue).await), ErrorKind::Unavailable);
    assert_eq!(kind(scene.push(&job()).await), ErrorKind::Unavailable);
    assert_eq!(kind(subscription.reserve(&scene.queue, Reserve::new(1)).await), ErrorKind::Unavailable);
    assert_eq!(kind(subscription.ready(Duration::ZERO).await), ErrorKind::Unavailable);
    assert_eq!(kind(scene.driver.depth(&scene.queue).await), ErrorKind::Unavailable);
    assert_eq!(kind(scene.driver.check().await), ErrorKind::Unavailable);
    let letters = scene.driver.dead_letters().unwrap();
    assert_eq!(kind(letters.retry_all(&scene.queue).await), ErrorKind::Unavailable);
    scene.until((1, 0)).await;

    scene.plug_in().await;
    scene.push(&job()).await.unwrap();
    scene.until((2, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn deliveries_end_with_their_connection_and_the_job_comes_again() {
    let name = "fault::answers::deliveries_end_with_their_connection_and_the_job_comes_again";
    let Some(scene) = Scene::new(name).await else { return };
    let subscription = scene.subscribe(&scene.driver).await;
    scene.push(&job()).await.unwrap();
    let delivery = scene.take(&*subscription).await;
    assert!(scene.driver.is_current(&delivery));

    scene.proxy.cut().await;
    let over = async {
        while scene.driver.is_current(&delivery) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(NOT_LATER, over).await.expect("the driver learns of it");

    for outcome in [Outcome::Done, Outcome::Release { after: Duration::ZERO }] {
        assert_eq!(kind(scene.settle(&delivery, &outcome).await), ErrorKind::LeaseLost);
    }
    let extended = scene.driver.extend(&scene.queue, &[&delivery], LEASE).await.remove(0);
    assert_eq!(kind(extended), ErrorKind::LeaseLost);
    // The same subscription goes on by itself.
    let again = scene.take(&*subscription).await;
    assert_eq!((again.id(), again.attempt, again.lost), (delivery.id(), 1, 1));
    scene.settle(&again, &Outcome::Done).await.unwrap();
    scene.until((0, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn an_outcome_without_an_answer_is_unknown_and_loses_no_job() {
    let name = "fault::answers::an_outcome_without_an_answer_is_unknown_and_loses_no_job";
    let Some(scene) = Scene::new(name).await else { return };
    let error = String::from("no luck");
    // Where a copy is written first, its original comes back with the connection: the job is there twice.
    let outcomes = [
        (Outcome::Done, (0, 0)),
        (Outcome::Retry { after: Duration::ZERO, error: error.clone() }, (2, 0)),
        (Outcome::Release { after: Duration::ZERO }, (2, 0)),
        (Outcome::Bury { error }, (1, 1)),
    ];
    for (outcome, left) in outcomes {
        let subscription = scene.subscribe(&scene.driver).await;
        scene.push(&job()).await.unwrap();
        let delivery = scene.take(&*subscription).await;
        subscription.close().await.unwrap();
        scene.direct.dead_letters().unwrap().count(&scene.queue).await.unwrap();
        scene.warm(&outcome).await;

        scene.proxy.eat_replies();
        assert_eq!(kind(scene.settle(&delivery, &outcome).await), ErrorKind::OutcomeUnknown, "{outcome:?}");
        // Asked again while it is under way: still unknown, and no second copy.
        let again = scene.settle(&delivery, &outcome).await;
        assert!(matches!(kind(again), ErrorKind::OutcomeUnknown | ErrorKind::LeaseLost), "{outcome:?}");
        scene.plug_in().await;

        assert_eq!(kind(scene.settle(&delivery, &outcome).await), ErrorKind::LeaseLost, "{outcome:?}");
        scene.until(left).await;
        scene.direct.clear(&scene.queue).await.unwrap();
        scene.direct.dead_letters().unwrap().clear(&scene.queue).await.unwrap();
    }
    scene.end().await;
}

impl Scene {
    /// What the outcome needs is declared on the connection that takes, so that its copy is sent and not asked about.
    async fn warm(&self, outcome: &Outcome) {
        let other = self.subscribe(&self.driver).await;
        self.push(&job()).await.unwrap();
        let delivery = self.take(&*other).await;
        self.settle(&delivery, outcome).await.unwrap();
        other.close().await.unwrap();
        self.direct.clear(&self.queue).await.unwrap();
        self.direct.dead_letters().unwrap().clear(&self.queue).await.unwrap();
    }
}

#[tokio::test]
async fn a_broker_that_accepts_and_says_nothing_is_unavailable_in_time() {
    let name = "fault::answers::a_broker_that_accepts_and_says_nothing_is_unavailable_in_time";
    let Some(scene) = Scene::new(name).await else { return };
    scene.proxy.black_hole();
    scene.proxy.cut().await;
    assert_eq!(kind(scene.driver.depth(&scene.queue).await), ErrorKind::Unavailable);

    let answer = timeout(NOT_LATER, scene.push(&job())).await.expect("it answers in time");
    assert_eq!(kind(answer), ErrorKind::Unavailable);

    scene.plug_in().await;
    scene.push(&job()).await.unwrap();
    scene.end().await;
}
