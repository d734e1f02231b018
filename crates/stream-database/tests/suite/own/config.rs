//! What `connect` refuses, before any server is asked.

use std::time::Duration;

use stream_core::{Error, ErrorKind};
use stream_database::{DatabaseConfig, DatabaseDriver};

async fn refusal(url: &str, config: DatabaseConfig) -> Error {
    let error = DatabaseDriver::connect_with(url, config).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
    error
}

#[tokio::test]
async fn an_address_of_no_known_database_is_refused() {
    for url in ["", "jobs", "oracle://host/db", "://", "redis://user:secret@host"] {
        let shown = format!("{:?}", refusal(url, DatabaseConfig::new()).await);
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_kept_are_refused() {
    let second = Duration::from_secs(1);
    let new = DatabaseConfig::new;
    for config in [
        new().table("Robert'); DROP TABLE jobs;--"),
        new().table(""),
        new().table("j".repeat(50)),
        new().prefix("x".repeat(45)),
        new().schema("a b"),
        new().pool_size(0),
        new().call_timeout(Duration::ZERO),
        new().connect_timeout(Duration::ZERO),
        new().poll_intervals(Duration::ZERO, second),
        new().poll_intervals(second * 2, second),
    ] {
        refusal("postgres://localhost/db", config).await;
    }
}
