//! What an acknowledged push is worth: what `check` says of it, and what a confirmation waits for.

use std::time::Duration;

use stream_core::{Driver, ErrorKind, Pushed};
use stream_redis::Confirmation;

use crate::backends::own::{Own, counts, job, kind, push, queue, until};

const TIMEOUT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn check_says_what_an_acknowledged_push_is_worth() {
    let name = "own::single::durability::check_says_what_an_acknowledged_push_is_worth";
    let Some(own) = Own::private(name).await else { return };
    let driver = own.driver().await;
    assert_eq!(driver.check().await.unwrap(), []);
    for (settings, is_severe, words) in [
        (["appendfsync", "everysec"], false, "last second"),
        (["appendfsync", "no"], true, "appendfsync is off"),
        (["appendonly", "no"], true, "loses all jobs"),
        (["save", "3600 1"], true, "last snapshot"),
    ] {
        own.ask(&["CONFIG", "SET", settings[0], settings[1]]).await;

        let findings = driver.check().await.unwrap();

        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].severe, is_severe, "{findings:?}");
        assert!(findings[0].what.contains(words), "{findings:?}");
    }
}

#[tokio::test]
async fn a_push_that_no_replica_has_is_unknown_and_stored() {
    let name = "own::single::durability::a_push_that_no_replica_has_is_unknown_and_stored";
    let Some(own) = Own::shared(name).await else { return };
    let config = own.config().confirmation(Confirmation::Replicas { replicas: 1, timeout: TIMEOUT });
    let driver = own.with(config).await;
    let job = job();

    assert_eq!(kind(push(&driver, &job).await), ErrorKind::OutcomeUnknown);

    let plain = own.driver().await;
    assert_eq!(push(&plain, &job).await.unwrap(), Pushed::AlreadyStored(job.envelope.id));
    own.end().await;
}

#[tokio::test]
async fn a_push_that_a_replica_has_is_confirmed() {
    let name = "own::single::durability::a_push_that_a_replica_has_is_confirmed";
    let (Some(own), Some(replica)) = (Own::private(name).await, Own::private(name).await) else { return };
    let (password, host) = own.url.strip_prefix("redis://:").unwrap().split_once('@').unwrap();
    let port = host.split(':').next_back().unwrap().strip_suffix("/0").unwrap();
    replica.ask(&["CONFIG", "SET", "masterauth", password]).await;
    replica.ask(&["REPLICAOF", "127.0.0.1", port]).await;
    let config = own.config().confirmation(Confirmation::Replicas { replicas: 1, timeout: NOT_LONG });
    let driver = own.with(config).await;

    until("the replica has come", || async { push(&driver, &job()).await.is_ok() }).await;

    let (ready, ..) = counts(&driver).await;
    let stored = replica.ask(&["HLEN", &own.key("jobs")]).await;
    assert_eq!(stored.as_u64(), Some(ready));
}

const NOT_LONG: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_confirmation_on_disk_is_kept_or_refused() {
    let name = "own::single::durability::a_confirmation_on_disk_is_kept_or_refused";
    let Some(own) = Own::shared(name).await else { return };
    let config = own.config().confirmation(Confirmation::Disk { replicas: 0, timeout: NOT_LONG });
    let driver = own.with(config).await;
    let version = own.ask(&["INFO", "server"]).await.as_string().unwrap();
    let version = version.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap();
    let is_old = version.starts_with("7.0") || version.starts_with("7.1");

    let answer = push(&driver, &job()).await;

    match answer.as_ref().map_err(stream_core::Error::kind) {
        Ok(Pushed::Stored(_)) => assert!(!is_old, "{version} has no WAITAOF"),
        Err(ErrorKind::Unsupported { limit, .. }) => {
            assert!(is_old && limit.contains("7.2"), "{limit}");
            assert_eq!(driver.depth(&queue()).await.unwrap().ready, 0);
        }
        other => panic!("{other:?}"),
    }
    own.end().await;
}
