//! Each verb when it is not sent, and when its answer is lost after the server has obeyed.

use std::{net::ToSocketAddrs, slice, time::Duration};

use stream_core::{Delivery, Driver, ErrorKind, NewJob, Outcome, Pushed, QueueName, Reserve, Result};
use stream_redis::RedisDriver;
use stream_testkit::proxy::Proxy;
use tokio::time::timeout;

use crate::backends::own::{self, NOT_LATER, Own, counts, job, kind, queue, subscribe, until};

const CALL: Duration = Duration::from_millis(300);
const LEASE: Duration = Duration::from_millis(400);

/// A driver behind a proxy, and one with a way of its own that sees what the server has.
struct Scene {
    own: Own,
    proxy: Proxy,
    driver: RedisDriver,
    direct: RedisDriver,
}

impl Scene {
    async fn new(test: &str) -> Option<Self> {
        let own = Own::shared(test).await?;
        let (_, host) = own.url.rsplit_once('@').unwrap();
        let host = host.split('/').next().unwrap();
        let server = host.to_socket_addrs().unwrap().next().unwrap();
        let proxy = Proxy::start(server).await.unwrap();
        let url = own.url.replace(host, &proxy.address().to_string());
        let config = own.config().call_timeout(CALL).connect_timeout(CALL / 2);
        let driver = RedisDriver::connect_with(&url, config).await.unwrap();
        Some(Self { direct: own.driver().await, own, proxy, driver })
    }

    /// The server obeys the next script; nobody hears of it.
    async fn lose_answers(&self) {
        self.warm_up().await;
        self.proxy.eat_replies();
    }

    /// A connection that is new is judged first, and a script that the server does not know is sent twice.
    async fn warm_up(&self) {
        let other = QueueName::new("other").unwrap();
        let subscription = self.driver.subscribe(slice::from_ref(&other)).await.unwrap();
        let answers = async { while self.driver.push(&other, &[job()]).await.remove(0).is_err() {} };
        timeout(NOT_LATER, answers).await.expect("the server is there");
        let error = String::from("no luck");
        let retry = Outcome::Retry { after: Duration::ZERO, error: error.clone() };
        for outcome in [retry, Outcome::Bury { error }, Outcome::Done] {
            let delivery = subscription.reserve(&other, Reserve::new(1)).await.unwrap().remove(0);
            self.driver.extend(&other, &[&delivery], LEASE).await.remove(0).unwrap();
            let settlement = stream_core::Settlement::new(&delivery, &outcome);
            self.driver.settle(&other, &[settlement]).await.remove(0).unwrap();
            self.driver.dead_letters().unwrap().retry_all(&other).await.unwrap();
        }
        self.driver.clear(&other).await.unwrap();
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
        own::push(&self.driver, job).await
    }

    async fn take(&self) -> Delivery {
        own::take(&self.direct).await
    }

    async fn settle(&self, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
        own::settle(&self.driver, delivery, outcome).await
    }

    /// Ready, reserved and dead jobs on the server, once a call that was given up has had its effect.
    async fn until(&self, wanted: (u64, u64, u64)) {
        until(&format!("{wanted:?}"), || async { counts(&self.direct).await == wanted }).await;
    }

    async fn end(self) {
        self.direct.close().await.unwrap();
        self.own.end().await;
    }
}

#[tokio::test]
async fn a_push_without_an_answer_is_unknown_and_recognised_when_repeated() {
    let name = "fault::single::answers::a_push_without_an_answer_is_unknown_and_recognised_when_repeated";
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
    let name = "fault::single::answers::what_cannot_be_sent_is_unavailable_and_nothing_is_changed";
    let Some(scene) = Scene::new(name).await else { return };
    let subscription = subscribe(&scene.driver).await;
    let (stored, job) = (job(), job());
    scene.push(&stored).await.unwrap();
    let delivery = scene.take().await;

    scene.unplug().await;
    // Until the client has noticed, a call cannot know what was read of it: those that read do no harm.
    until("the client knows", || async {
        let begun = std::time::Instant::now();
        let error = scene.driver.depth(&queue()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Unavailable);
        begun.elapsed() < CALL && error.to_string().contains("no connection")
    })
    .await;
    assert_eq!(kind(scene.push(&job).await), ErrorKind::Unavailable);
    let request = Reserve::new(1).lease(LEASE);
    assert_eq!(kind(subscription.reserve(&queue(), request).await), ErrorKind::Unavailable);
    assert_eq!(kind(scene.settle(&delivery, &Outcome::Done).await), ErrorKind::Unavailable);
    let extended = scene.driver.extend(&queue(), &[&delivery], LEASE).await.remove(0);
    assert_eq!(kind(extended), ErrorKind::Unavailable);
    let letters = scene.driver.dead_letters().unwrap();
    assert_eq!(kind(letters.retry_all(&queue()).await), ErrorKind::Unavailable);
    assert_eq!(counts(&scene.direct).await, (0, 1, 0));

    scene.plug_in().await;
    scene.push(&job).await.unwrap();
    scene.settle(&delivery, &Outcome::Done).await.unwrap();
    scene.until((1, 0, 0)).await;
    scene.end().await;
}

#[tokio::test]
async fn a_call_that_was_given_up_is_not_sent_later() {
    let Some(scene) = Scene::new("fault::single::answers::a_call_that_was_given_up_is_not_sent_later").await
    else {
        return;
    };
    scene.warm_up().await;
    scene.unplug().await;
    for _ in 0..5 {
        assert!(scene.push(&job()).await.unwrap_err().is_transient());
    }

    scene.plug_in().await;

    assert_eq!(counts(&scene.direct).await, (0, 0, 0));
    scene.end().await;
}

#[tokio::test]
async fn a_reserve_without_an_answer_leaves_its_jobs_to_their_leases() {
    let name = "fault::single::answers::a_reserve_without_an_answer_leaves_its_jobs_to_their_leases";
    let Some(scene) = Scene::new(name).await else { return };
    let subscription = subscribe(&scene.driver).await;
    scene.push(&job()).await.unwrap();

    scene.lose_answers().await;
    let lost = subscription.reserve(&queue(), Reserve::new(1).lease(LEASE)).await;
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
    let Some(scene) = Scene::new("fault::single::answers::an_outcome_without_an_answer_counts_once").await
    else {
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
        scene.direct.clear(&queue()).await.unwrap();
        scene.direct.dead_letters().unwrap().clear(&queue()).await.unwrap();
    }
    scene.end().await;
}

#[tokio::test]
async fn an_extend_without_an_answer_can_be_repeated() {
    let Some(scene) = Scene::new("fault::single::answers::an_extend_without_an_answer_can_be_repeated").await
    else {
        return;
    };
    scene.push(&job()).await.unwrap();
    let delivery = scene.take().await;
    let long = Duration::from_secs(60);

    scene.lose_answers().await;
    let lost = scene.driver.extend(&queue(), &[&delivery], long).await.remove(0);
    assert_eq!(kind(lost), ErrorKind::OutcomeUnknown);
    scene.plug_in().await;

    assert!(scene.driver.is_current(&delivery));
    scene.driver.extend(&queue(), &[&delivery], long).await.remove(0).unwrap();
    scene.settle(&delivery, &Outcome::Done).await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn a_letter_whose_retry_was_not_answered_is_one_job() {
    let name = "fault::single::answers::a_letter_whose_retry_was_not_answered_is_one_job";
    let Some(scene) = Scene::new(name).await else { return };
    scene.push(&job()).await.unwrap();
    let delivery = scene.take().await;
    scene.settle(&delivery, &Outcome::Bury { error: "hopeless".into() }).await.unwrap();
    let letters = scene.driver.dead_letters().unwrap();
    let letter = letters.list(&queue(), None, 1).await.unwrap().remove(0);

    scene.lose_answers().await;
    assert_eq!(kind(letters.retry(&queue(), &letter.id).await), ErrorKind::OutcomeUnknown);
    scene.until((1, 0, 0)).await;
    scene.plug_in().await;

    assert!(!letters.retry(&queue(), &letter.id).await.unwrap());
    scene.until((1, 0, 0)).await;
    scene.end().await;
}
