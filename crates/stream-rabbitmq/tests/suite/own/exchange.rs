//! Exchanges of the user's: each bound queue gets a job of its own, with its priority, retries and delays.

use std::{slice, time::Duration};

use lapin::BasicProperties;
use stream_core::{Draft, Driver, ErrorKind, NewJob, Outcome, Priority, QueueName, Result, Settlement};
use stream_rabbitmq::{Exchange, HeaderMatch, RabbitMqDriver, lapin};

use super::broker::{address, take};
use crate::backend::{config, foreign_channel, fresh_queue, publish};

/// A driver with an exchange, and two queues that are bound to it.
struct Scene {
    url: String,
    driver: RabbitMqDriver,
    name: String,
    queues: [QueueName; 2],
}

impl Scene {
    async fn new(test: &str, exchange: impl Fn(&str, &str, &str) -> Exchange) -> Option<Self> {
        let url = address(test)?;
        let queues = [fresh_queue(), fresh_queue()];
        let name = format!("{}-exchange", fresh_queue());
        let exchange = exchange(&name, queues[0].as_str(), queues[1].as_str());
        let driver = RabbitMqDriver::connect_with(&url, config().exchange(exchange)).await.unwrap();
        Some(Self { url, driver, name, queues })
    }

    async fn push(&self, job: &NewJob) -> Result<stream_core::Pushed> {
        // Where it goes, the exchange decides; the name of the queue is the key if the job has no route.
        self.driver.push(&self.queues[0], slice::from_ref(job)).await.remove(0)
    }

    /// How many wait in each of the two.
    async fn ready(&self) -> [u64; 2] {
        let mut ready = [0; 2];
        for (ready, queue) in ready.iter_mut().zip(&self.queues) {
            *ready = self.driver.depth(queue).await.unwrap().ready;
        }
        ready
    }
}

fn job() -> NewJob {
    Draft::named("x", &1).into_job().unwrap()
}

fn routed(route: &str) -> NewJob {
    let mut job = job();
    job.route = Some(route.into());
    job
}

#[tokio::test]
async fn a_fanout_exchange_gives_each_queue_a_job_of_its_own() {
    let name = "own::exchange::a_fanout_exchange_gives_each_queue_a_job_of_its_own";
    let Some(scene) = Scene::new(name, |name, a, b| Exchange::fanout(name).bind(a).bind(b)).await else {
        return;
    };
    let mut job = job();
    job.envelope.priority = Priority::High;
    scene.push(&job).await.unwrap();
    assert_eq!(scene.ready().await, [1, 1]);

    let [first, second] =
        [take(&scene.driver, &scene.queues[0]).await, take(&scene.driver, &scene.queues[1]).await];
    assert_eq!((first.id(), second.id()), (Some(job.envelope.id), Some(job.envelope.id)));
    // A retry goes back only to the queue that failed.
    let outcome = Outcome::Retry { after: Duration::ZERO, error: "no luck".into() };
    scene.driver.settle(&scene.queues[0], &[Settlement::new(&first, &outcome)]).await.remove(0).unwrap();
    scene
        .driver
        .settle(&scene.queues[1], &[Settlement::new(&second, &Outcome::Done)])
        .await
        .remove(0)
        .unwrap();
    let again = take(&scene.driver, &scene.queues[0]).await;
    assert_eq!((again.attempt, again.envelope), (2, Ok(job.envelope)));
    assert_eq!(scene.ready().await, [0, 0]);
}

#[tokio::test]
async fn a_direct_exchange_takes_a_job_to_the_queues_of_its_key() {
    let name = "own::exchange::a_direct_exchange_takes_a_job_to_the_queues_of_its_key";
    let bind = |name: &str, a: &str, b: &str| Exchange::direct(name).bind(a).bind_key(b, "audit");
    let Some(scene) = Scene::new(name, bind).await else { return };
    scene.push(&job()).await.unwrap();
    assert_eq!(scene.ready().await, [1, 0]);
    scene.push(&routed("audit")).await.unwrap();
    assert_eq!(scene.ready().await, [1, 1]);
}

#[tokio::test]
async fn a_topic_exchange_takes_a_job_to_the_queues_whose_pattern_fits() {
    let name = "own::exchange::a_topic_exchange_takes_a_job_to_the_queues_whose_pattern_fits";
    let bind = |name: &str, a: &str, b: &str| Exchange::topic(name).bind_key(a, "user.*").bind_key(b, "#");
    let Some(scene) = Scene::new(name, bind).await else { return };
    scene.push(&routed("user.created")).await.unwrap();
    scene.push(&routed("order.item.created")).await.unwrap();
    assert_eq!(scene.ready().await, [1, 2]);
}

#[tokio::test]
async fn a_headers_exchange_takes_a_job_to_the_queues_whose_headers_it_has() {
    let name = "own::exchange::a_headers_exchange_takes_a_job_to_the_queues_whose_headers_it_has";
    let bind = |name: &str, a: &str, b: &str| {
        let all = [("kind", "mail"), ("tenant", "7")];
        Exchange::headers(name).bind_headers(a, HeaderMatch::All, all).bind_headers(b, HeaderMatch::Any, all)
    };
    let Some(scene) = Scene::new(name, bind).await else { return };
    let mut job = job();
    job.envelope.headers.insert("kind".into(), "mail".into());
    scene.push(&job).await.unwrap();
    assert_eq!(scene.ready().await, [0, 1]);
    job.envelope.headers.insert("tenant".into(), "7".into());
    scene.push(&job).await.unwrap();
    assert_eq!(scene.ready().await, [1, 2]);
    // A key would decide nothing: it is refused before anything is sent.
    let refused = scene.driver.capabilities().allows(&routed("mail")).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Unsupported { .. }), "{refused}");
}

#[tokio::test]
async fn a_job_that_no_queue_is_bound_for_is_refused() {
    let name = "own::exchange::a_job_that_no_queue_is_bound_for_is_refused";
    let bind = |name: &str, a: &str, b: &str| Exchange::direct(name).bind(a).bind(b);
    let Some(scene) = Scene::new(name, bind).await else { return };

    let answers = scene.driver.push(&scene.queues[0], &[job(), routed("nowhere"), job()]).await;

    let error = answers[1].as_ref().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
    assert!(error.to_string().contains(&scene.name), "{error}");
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(scene.ready().await, [2, 0]);
}

#[tokio::test]
async fn a_delayed_job_goes_to_the_exchange_when_it_is_due() {
    let name = "own::exchange::a_delayed_job_goes_to_the_exchange_when_it_is_due";
    let bind =
        |name: &str, a: &str, b: &str| Exchange::topic(name).bind_key(a, "user.*").bind_key(b, "user.#");
    let Some(scene) = Scene::new(name, bind).await else { return };
    let mut job = routed("user.created");
    job.delay = Duration::from_secs(2);
    job.envelope.headers.insert("tenant".into(), "7".into());
    let begun = std::time::Instant::now();
    scene.push(&job).await.unwrap();

    for queue in &scene.queues {
        let taken = take(&scene.driver, queue).await;
        assert!(begun.elapsed() >= job.delay, "{:?}", begun.elapsed());
        assert_eq!(taken.envelope, Ok(job.envelope.clone()));
    }
}

#[tokio::test]
async fn headers_that_would_mean_something_else_are_refused() {
    let name = "own::exchange::headers_that_would_mean_something_else_are_refused";
    let Some(scene) = Scene::new(name, |name, a, b| Exchange::fanout(name).bind(a).bind(b)).await else {
        return;
    };
    for header in ["x-match", "stream-to", "CC"] {
        let mut job = job();
        job.envelope.headers.insert(header.into(), "y".into());
        let error = scene.push(&job).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InvalidJob, "{error}");
    }
    assert_eq!(scene.ready().await, [0, 0]);
}

#[tokio::test]
async fn a_foreign_message_without_a_priority_reaches_the_default_one() {
    let name = "own::exchange::a_foreign_message_without_a_priority_reaches_the_default_one";
    let Some(scene) = Scene::new(name, |name, a, b| Exchange::fanout(name).bind(a).bind(b)).await else {
        return;
    };
    scene.push(&job()).await.unwrap();
    let foreign = Draft::raw("theirs", vec![1]).into_job().unwrap();
    let bytes = foreign.envelope.to_bytes();
    publish(&foreign_channel(&scene.url).await, &scene.name, "anything", &bytes, BasicProperties::default())
        .await;
    assert_eq!(scene.ready().await, [2, 2]);

    let taken = [take(&scene.driver, &scene.queues[1]).await, take(&scene.driver, &scene.queues[1]).await];
    assert!(taken.iter().any(|one| one.id() == Some(foreign.envelope.id)));
}
