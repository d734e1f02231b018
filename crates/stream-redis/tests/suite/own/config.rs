//! What `connect` refuses, before any server is asked.

use std::time::Duration;

use stream_core::{Error, ErrorKind};
use stream_redis::{Confirmation, RedisConfig, RedisDriver};

async fn refusal(url: &str, config: RedisConfig) -> Error {
    let error = RedisDriver::connect_with(url, config).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
    error
}

#[tokio::test]
async fn an_address_of_no_redis_is_refused_and_not_shown() {
    for url in [
        "",
        "jobs",
        "://",
        "postgres://user:secret@host/db",
        "redis://user:secret@host:port",
        "redis://:secret@host/secret",
        "redisx://:secret@host",
    ] {
        let shown = format!("{:?}", refusal(url, RedisConfig::new()).await);
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn an_encrypted_address_names_the_feature_that_it_needs() {
    for scheme in ["rediss", "rediss-cluster"] {
        let error = refusal(&format!("{scheme}://localhost:1"), RedisConfig::new()).await;
        assert!(error.to_string().contains("`tls`"), "{error}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_kept_are_refused() {
    let (none, second) = (Duration::ZERO, Duration::from_secs(1));
    let new = RedisConfig::new;
    for config in [
        new().prefix(""),
        new().prefix("a{b}"),
        new().prefix("x".repeat(65)),
        new().call_timeout(none),
        new().connect_timeout(none),
        new().confirmation(Confirmation::Replicas { replicas: 0, timeout: second }),
        new().confirmation(Confirmation::Replicas { replicas: 1, timeout: none }),
        new().confirmation(Confirmation::Disk { replicas: 0, timeout: second * 30 }),
    ] {
        refusal("redis://localhost", config).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_not_a_wrong_setting() {
    let config = RedisConfig::new().connect_timeout(Duration::from_millis(200));
    // Nobody listens on the port for discarding.
    let driver = RedisDriver::connect_with("redis://:secret@127.0.0.1:9", config).await.unwrap();
    let queue = stream_core::QueueName::new("default").unwrap();

    let error = stream_core::Driver::depth(&driver, &queue).await.unwrap_err();

    assert_eq!(error.kind(), &ErrorKind::Unavailable, "{error}");
    assert!(!format!("{error:?} {driver:?}").contains("secret"), "{error:?}");
}
