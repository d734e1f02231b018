//! Everything wrong is a typed error that says what to do.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use stream_core::{
    Backoff, Consumer, ConsumerBuilder, Draft, Error, ErrorKind, Job, QueueManager, RateLimit, Reserve,
};
use stream_memory::{MemoryConfig, MemoryDriver};

use super::{World, act};

async fn refused(builder: ConsumerBuilder) -> Error {
    builder.start().await.map(drop).unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn options_of_a_consumer_that_cannot_be_meant_are_refused() {
    let world = World::new();
    let consumer = || world.consumer();
    let rate = RateLimit::per_second;
    let refusals = [
        (consumer().workers(0), "workers must be 1 to"),
        (consumer().workers(usize::MAX), "workers must be 1 to"),
        (consumer().queues(Vec::<&str>::new()), "queues must be 1 to 10000"),
        (consumer().queues(["a b"]), "1 to 48 of A-Z"),
        (consumer().queues(["a", "a"]), "named twice"),
        (consumer().lease(Duration::ZERO), "lease"),
        (consumer().lease(Duration::MAX), "lease"),
        (consumer().grace(Duration::MAX), "grace"),
        (consumer().max_lost(0), "max_lost"),
        (consumer().rate_limit("elsewhere", rate(1)), "not in `queues`"),
        (consumer().rate_limit("default", rate(0)), "above zero"),
        (consumer().rate_limit("default", RateLimit::new(1, Duration::ZERO)), "above zero"),
        (consumer().rate_limit("default", RateLimit::new(1, Duration::MAX)), "at most"),
        (consumer().weight("default", 0), "weight"),
        (consumer().weight("elsewhere", 1), "not in `queues`"),
        (consumer().weight("default", 2).strict_order(), "one of the two"),
        (
            Consumer::builder(&world.queue, world.handlers().merge(world.handlers())),
            "\"act\" is registered twice",
        ),
    ];
    for (builder, expected) in refusals {
        let error = refused(builder).await;
        assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(expected), "{error} does not say {expected}");
    }
}

#[derive(Deserialize)]
struct NotSerialisable;

impl Serialize for NotSerialisable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("a socket has no bytes"))
    }
}

impl Job for NotSerialisable {
    const NAME: &'static str = "not_serialisable";
}

#[tokio::test(start_paused = true)]
async fn a_push_that_cannot_be_kept_is_refused_before_anything_is_sent() {
    let driver = MemoryDriver::with_config(MemoryConfig::new().envelope_bytes_max(2_000));
    let queue = QueueManager::new(driver);
    let draft = || Draft::named("n", &());
    let refusals = [
        (queue.push(NotSerialisable), "cannot be serialised"),
        (queue.push(draft()).on_queue(""), "1 to 48 of A-Z"),
        (queue.push(draft()).on_connection("mars"), "\"mars\" is not a connection; there are: default"),
        (queue.push(draft()).delay(Duration::MAX), "the delay must be at most"),
        (queue.push(draft()).timeout(Duration::ZERO), "timeout must be above zero"),
        (queue.push(draft()).timeout(Duration::MAX), "timeout"),
        (queue.push(draft()).max_attempts(0), "max_attempts must be at least 1"),
        (queue.push(draft()).backoff(Backoff::exponential(Duration::ZERO, f64::NAN)), "factor"),
        (queue.push(draft()).group(""), "the group must have 1 to 128"),
        (queue.push(draft()).group("g".repeat(129)), "the group must have 1 to 128"),
        (queue.push(draft()).unique(""), "the unique key must have"),
        (queue.push(draft()).route("r".repeat(256)), "the route must have"),
        (queue.push(draft()).route("r"), "routing is unsupported"),
        (queue.push(draft()).header("h", "v".repeat(8192)), "the headers must have"),
        (queue.push(Draft::raw("n", vec![0; 2_000])), "this connection takes 2000"),
        (queue.push(Draft::raw("", vec![])), "the name must have 1 to 255"),
        (queue.push(Draft::raw(&"n".repeat(256), vec![])), "the name must have 1 to 255"),
    ];
    for (push, expected) in refusals {
        let error = push.await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error} does not say {expected}");
        assert!(!error.is_transient(), "{error}");
    }
    assert_eq!(queue.size("default").await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn push_many_stores_the_good_ones_and_answers_each() {
    let world = World::new();
    let drafts = [
        Draft::named("a", &1),
        Draft::named("b", &2).on_queue("no good"),
        Draft::named("c", &3).on_queue("other"),
        Draft::named("d", &4).on_connection("mars"),
    ];
    let error = world.queue.push_many(drafts).await.unwrap_err();
    assert_eq!(error.failed().map(|(at, _)| at).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(error.results().len(), 4);
    assert!(error.to_string().starts_with("2 of 4 jobs were not stored, the first at 1: "), "{error}");
    assert_eq!(Error::from(error).kind(), &ErrorKind::Config);
    assert_eq!(world.queue.size("default").await.unwrap(), 1);
    assert_eq!(world.queue.size("other").await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_named_twice_and_a_bad_reserve_are_refused() {
    let twice = QueueManager::new(MemoryDriver::new()).with_connection("default", MemoryDriver::new());
    assert!(twice.push(act("x")).await.unwrap_err().to_string().contains("named twice"));
    assert!(twice.check().await.is_err());
    assert!(twice.dead_letters("default").count().await.is_err());

    let queue = World::new().queue;
    for request in
        [Reserve::new(0), Reserve::new(1).lease(Duration::ZERO), Reserve::new(1).lease(Duration::MAX)]
    {
        assert_eq!(queue.reserve("default", request).await.unwrap_err().kind(), &ErrorKind::Config);
    }
    assert_eq!(queue.pop("no good").await.unwrap_err().kind(), &ErrorKind::Config);
    assert_eq!(queue.dead_letters("no good").clear().await.unwrap_err().kind(), &ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn several_connections_are_told_apart() {
    let queue = QueueManager::new(MemoryDriver::new()).with_connection("second", MemoryDriver::new());
    queue.push(act("x")).on_connection("second").await.unwrap();
    assert_eq!(queue.size("default").await.unwrap(), 0);
    assert_eq!(queue.connection("second").unwrap().size("default").await.unwrap(), 1);
}
