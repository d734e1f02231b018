//! What a server may refuse, and who is told how.

use std::time::Duration;

use stream_core::{Driver, ErrorKind, Outcome, Reserve};
use stream_redis::{Eviction, RedisConfig, RedisDriver};

use crate::backends::own::{Own, counts, job, kind, push, queue, settle, subscribe, take, until};

#[tokio::test]
async fn a_wrong_password_is_a_configuration_error_that_does_not_show_it() {
    let name = "own::single::refusals::a_wrong_password_is_a_configuration_error_that_does_not_show_it";
    let Some(own) = Own::shared(name).await else { return };
    let (_, host) = own.url.split_once('@').unwrap();
    for login in ["", ":sesame@", "nobody:sesame@"] {
        let driver = RedisDriver::connect(&format!("redis://{login}{host}")).await.unwrap();

        let error = driver.depth(&queue()).await.unwrap_err();

        assert_eq!(error.kind(), &ErrorKind::Config, "{login}: {error:?}");
        assert!(!format!("{error:?} {driver:?}").contains("sesame"), "{error:?}");
    }
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_a_configuration_error_and_no_job_is_lost() {
    let name = "own::single::refusals::a_key_of_a_wrong_type_is_a_configuration_error_and_no_job_is_lost";
    let Some(own) = Own::shared(name).await else { return };
    let driver = own.driver().await;
    let subscription = subscribe(&driver).await;

    // Nothing of a push that failed half way is left.
    for wrong in ["ready:default", "jobs"] {
        own.ask(&["SET", &own.key(wrong), "not ours"]).await;
        assert_eq!(kind(push(&driver, &job()).await), ErrorKind::Config, "{wrong}");
        own.ask(&["DEL", &own.key(wrong)]).await;
        assert_eq!(counts(&driver).await, (0, 0, 0), "{wrong}");
        assert!(subscription.reserve(&queue(), Reserve::new(1)).await.unwrap().is_empty());
    }

    // A delivery whose end fails half way is still on its lease.
    push(&driver, &job()).await.unwrap();
    let delivery = take(&driver).await;
    let (after, error) = (Duration::from_secs(60), String::from("no luck"));
    for (wrong, outcome) in [
        ("delayed:default", Outcome::Release { after }),
        ("ready:default", Outcome::Release { after: Duration::ZERO }),
        ("dead", Outcome::Bury { error: error.clone() }),
        ("notes", Outcome::Retry { after: Duration::ZERO, error }),
    ] {
        own.ask(&["SET", &own.key(wrong), "not ours"]).await;
        assert_eq!(kind(settle(&driver, &delivery, &outcome).await), ErrorKind::Config, "{wrong}");
        own.ask(&["DEL", &own.key(wrong)]).await;
        assert_eq!(counts(&driver).await.1, 1, "{wrong}");
    }
    settle(&driver, &delivery, &Outcome::Done).await.unwrap();

    // So is a job whose reserve fails half way, be it on its lease or waiting.
    push(&driver, &job()).await.unwrap();
    for wrong in ["leased:default", "notes", "delayed:default"] {
        own.ask(&["SET", &own.key(wrong), "not ours"]).await;
        let request = Reserve::new(1).lease(Duration::from_millis(1));
        assert_eq!(kind(subscription.reserve(&queue(), request).await), ErrorKind::Config, "{wrong}");
        own.ask(&["DEL", &own.key(wrong)]).await;
        until("the job is ready again", || async { counts(&driver).await == (1, 0, 0) }).await;
    }
    own.end().await;
}

#[tokio::test]
async fn a_full_server_refuses_pushes_and_lets_workers_go_on() {
    let name = "own::single::refusals::a_full_server_refuses_pushes_and_lets_workers_go_on";
    let Some(own) = Own::private(name).await else { return };
    let driver = own.driver().await;
    for _ in 0..5 {
        push(&driver, &job()).await.unwrap();
    }
    own.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let error = push(&driver, &job()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable);
    assert!(error.to_string().contains("maxmemory"), "{error}");

    let error = String::from("no luck");
    for outcome in [
        Outcome::Done,
        Outcome::Retry { after: Duration::from_secs(60), error: error.clone() },
        Outcome::Bury { error },
        Outcome::Release { after: Duration::ZERO },
    ] {
        let delivery = take(&driver).await;
        driver.extend(&queue(), &[&delivery], Duration::from_secs(60)).await.remove(0).unwrap();
        settle(&driver, &delivery, &outcome).await.unwrap();
    }
    driver.dead_letters().unwrap().clear(&queue()).await.unwrap();
    driver.clear(&queue()).await.unwrap();

    own.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    push(&driver, &job()).await.unwrap();
    assert_eq!(counts(&driver).await, (1, 0, 0));
}

#[tokio::test]
async fn a_server_that_evicts_is_refused_unless_it_is_allowed() {
    let name = "own::single::refusals::a_server_that_evicts_is_refused_unless_it_is_allowed";
    let Some(own) = Own::private(name).await else { return };
    own.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;

    let driver = own.driver().await;
    let error = push(&driver, &job()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config);
    assert!(error.to_string().contains("noeviction"), "{error}");
    let findings = format!("{:?}", driver.check().await.unwrap());
    assert!(findings.contains("allkeys-lru"), "{findings}");

    let driver = own.with(own.config().eviction(Eviction::Allowed)).await;
    push(&driver, &job()).await.unwrap();
    let findings = format!("{:?}", driver.check().await.unwrap());
    assert!(findings.contains("allkeys-lru"), "{findings}");
}

#[tokio::test]
async fn a_replica_is_unavailable_until_it_is_the_primary() {
    let name = "own::single::refusals::a_replica_is_unavailable_until_it_is_the_primary";
    let (Some(primary), Some(own)) = (Own::private(name).await, Own::private(name).await) else { return };
    let driver = own.driver().await;
    push(&driver, &job()).await.unwrap();
    let (password, host) = primary.url.strip_prefix("redis://:").unwrap().split_once('@').unwrap();
    let port = host.split(':').next_back().unwrap().strip_suffix("/0").unwrap();
    own.ask(&["CONFIG", "SET", "masterauth", password]).await;
    own.ask(&["REPLICAOF", "127.0.0.1", port]).await;

    assert_eq!(kind(push(&driver, &job()).await), ErrorKind::Unavailable);
    let findings = format!("{:?}", driver.check().await.unwrap());
    assert!(findings.contains("replica"), "{findings}");

    own.ask(&["REPLICAOF", "NO", "ONE"]).await;
    until("it takes jobs again", || async { push(&driver, &job()).await.is_ok() }).await;
}

#[tokio::test]
async fn a_server_of_a_cluster_is_not_taken_for_a_single_one() {
    let name = "own::single::refusals::a_server_of_a_cluster_is_not_taken_for_a_single_one";
    let Some(own) = Own::shared(name).await else { return };
    let url = own.url.replace("redis://", "redis-cluster://");
    let config = RedisConfig::new().connect_timeout(Duration::from_millis(500));
    let driver = RedisDriver::connect_with(url.trim_end_matches("/0"), config).await.unwrap();

    let error = driver.depth(&queue()).await.unwrap_err();

    assert!(matches!(error.kind(), ErrorKind::Config | ErrorKind::Unavailable), "{error:?}");
}
