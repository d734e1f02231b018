//! What MySQL's and MariaDB's own ways ask for: permissions, locks, pools, tables that are not there.

mod cost;
mod refused;
mod transaction;

use std::{slice, time::Duration};

use sqlx::{AssertSqlSafe, MySqlPool, mysql::MySqlPoolOptions};
use stream_core::{Delivery, Draft, Driver, ErrorKind, NewJob, QueueName, Reserve, Subscription};
use stream_database::DatabaseDriver;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::backends::mysql::own::Own;

const NOT_LATER: Duration = Duration::from_secs(5);
/// Longer than a test may take: who answers sooner was told, or has looked again.
const LONG: Duration = Duration::from_secs(60);
/// `ready` has looked by then, and waits; if it has not, a test proves less and fails no sooner.
const LOOKED: Duration = Duration::from_millis(500);

fn queue() -> QueueName {
    QueueName::new("default").unwrap()
}

fn job() -> NewJob {
    Draft::named("x", &1).into_job().unwrap()
}

/// Waits at the queue in the background.
fn wait_for_work(subscription: Box<dyn Subscription>) -> JoinHandle<(Vec<QueueName>, Box<dyn Subscription>)> {
    tokio::spawn(async move { (subscription.ready(LONG).await.unwrap(), subscription) })
}

#[tokio::test]
async fn a_wrong_password_is_a_configuration_error_that_does_not_show_it() {
    let name = "own::mysql::a_wrong_password_is_a_configuration_error_that_does_not_show_it";
    let Some(own) = Own::new(name) else { return };
    let (scheme, rest) = own.url.split_once("://").unwrap();
    let (user, host) = rest.rsplit_once('@').unwrap();
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    let url = format!("{scheme}://{user}:sesame@{host}");
    let driver = DatabaseDriver::connect(&url).await.unwrap();

    let error = driver.depth(&queue()).await.unwrap_err();

    assert_eq!(error.kind(), &ErrorKind::Config, "{error:?}");
    assert!(!format!("{error} {error:?} {driver:?}").contains("sesame"), "{error:?}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_a_configuration_error() {
    let Some(own) = Own::new("own::mysql::a_database_that_is_not_there_is_a_configuration_error") else {
        return;
    };
    let (server, _) = own.url.rsplit_once('/').unwrap();
    let driver = DatabaseDriver::connect(&format!("{server}/nowhere")).await.unwrap();

    assert_eq!(driver.depth(&queue()).await.unwrap_err().kind(), &ErrorKind::Config);
}

#[tokio::test]
async fn missing_tables_are_named_with_what_repairs_them() {
    let Some(own) = Own::new("own::mysql::missing_tables_are_named_with_what_repairs_them") else {
        return;
    };
    let driver = own.connect().await;

    assert_eq!(driver.depth(&queue()).await.unwrap_err().kind(), &ErrorKind::Config);
    let findings = format!("{:?}", driver.check().await.unwrap());
    assert!(findings.contains("migrate"), "{findings}");

    driver.migrate().await.unwrap();
    assert_eq!(driver.check().await.unwrap(), []);
    assert_eq!(driver.depth(&queue()).await.unwrap().ready, 0);
    own.drop_tables().await;
}

/// A user that nobody has logged in as, so that the server has not cached the password.
async fn new_user(own: &Own, name: &str) -> String {
    let (_, host) = own.url.rsplit_once('@').unwrap();
    let user = format!("{}{name}", own.prefix);
    own.run(&format!(
        "CREATE USER '{user}'@'%' IDENTIFIED BY 'N0t-cached'; GRANT ALL ON *.* TO '{user}'@'%'"
    ))
    .await;
    format!("mysql://{user}:N0t-cached@{host}")
}

#[tokio::test]
async fn a_new_password_is_taken_without_tls() {
    let Some(own) = Own::new("own::mysql::a_new_password_is_taken_without_tls") else { return };
    let url = new_user(&own, "plain").await + "?ssl-mode=disabled";
    let driver = DatabaseDriver::connect_with(&url, own.config()).await.unwrap();

    driver.migrate().await.unwrap();

    driver.close().await.unwrap();
    own.run(&format!("DROP USER '{}plain'@'%'", own.prefix)).await;
    own.drop_tables().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_new_password_is_taken_over_tls_where_the_server_has_it() {
    let Some(own) = Own::new("own::mysql::a_new_password_is_taken_over_tls_where_the_server_has_it") else {
        return;
    };
    let url = new_user(&own, "tls").await + "?ssl-mode=required";
    let driver = DatabaseDriver::connect_with(&url, own.config()).await.unwrap();

    let migrated = driver.migrate().await;

    if own.version().await.contains("MariaDB") {
        // The server of the tests has no certificate: what is required is not given up.
        assert_eq!(migrated.unwrap_err().kind(), &ErrorKind::Config);
    } else {
        migrated.unwrap();
        own.drop_tables().await;
    }
    driver.close().await.unwrap();
    own.run(&format!("DROP USER '{}tls'@'%'", own.prefix)).await;
}

#[tokio::test]
async fn many_programs_may_migrate_at_once() {
    let Some(own) = Own::new("own::mysql::many_programs_may_migrate_at_once") else { return };
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let driver = own.connect().await;
        tasks.push(tokio::spawn(async move { driver.migrate().await.unwrap() }));
    }
    let mut before = Vec::new();
    for task in tasks {
        before.push(task.await.unwrap());
    }

    assert_eq!(before.iter().filter(|version| **version == 0).count(), 1, "{before:?}");
    own.drop_tables().await;
}

#[tokio::test]
async fn a_migration_that_died_half_way_is_done_by_the_next() {
    let Some(own) = Own::new("own::mysql::a_migration_that_died_half_way_is_done_by_the_next") else {
        return;
    };
    let driver = own.migrated().await;
    own.run("DROP TABLE {jobs}_limits; DELETE FROM {jobs}_versions").await;

    assert_eq!(driver.migrate().await.unwrap(), 0);

    assert_eq!(driver.check().await.unwrap(), []);
    own.drop_tables().await;
}

#[tokio::test]
async fn an_extend_does_not_wait_for_a_row_that_the_handler_has_locked() {
    let name = "own::mysql::an_extend_does_not_wait_for_a_row_that_the_handler_has_locked";
    let Some(own) = Own::new(name) else { return };
    let driver = own.migrated().await;
    driver.push(&queue(), &[job(), job()]).await;
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let taken = subscription.reserve(&queue(), Reserve::new(2)).await.unwrap();
    let pool = MySqlPool::connect(&own.url).await.unwrap();
    let mut handler = pool.begin().await.unwrap();
    let lock = own.named("SELECT 1 FROM {jobs} WHERE id = ? FOR UPDATE");
    let lock = sqlx::query(AssertSqlSafe(lock)).bind(taken[0].id().unwrap().as_bytes().to_vec());
    lock.execute(&mut *handler).await.unwrap();

    let (queue, deliveries) = (queue(), [&taken[0], &taken[1]]);
    let extend = driver.extend(&queue, &deliveries, Duration::from_secs(30));
    let mut answers = timeout(NOT_LATER, extend).await.expect("it does not wait");

    // Not over: nobody can take a row that is locked, whatever its lease.
    assert_eq!(answers.remove(0).unwrap_err().kind(), &ErrorKind::Unavailable);
    answers.remove(0).unwrap();
    handler.rollback().await.unwrap();
    driver.extend(&queue, &deliveries, Duration::from_secs(30)).await.remove(0).unwrap();
    pool.close().await;
    own.drop_tables().await;
}

#[tokio::test]
async fn a_reserve_passes_over_a_row_that_another_transaction_holds() {
    let name = "own::mysql::a_reserve_passes_over_a_row_that_another_transaction_holds";
    let Some(own) = Own::new(name) else { return };
    let driver = own.migrated().await;
    let jobs = [job(), job()];
    driver.push(&queue(), &jobs).await;
    let pool = MySqlPool::connect(&own.url).await.unwrap();
    let mut other = pool.begin().await.unwrap();
    let lock = own.named("SELECT 1 FROM {jobs} WHERE id = ? FOR UPDATE");
    let lock = sqlx::query(AssertSqlSafe(lock)).bind(jobs[0].envelope.id.as_bytes().to_vec());
    lock.execute(&mut *other).await.unwrap();

    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let (queue, request) = (queue(), Reserve::new(2).lease(LONG));
    let reserve = subscription.reserve(&queue, request);
    let taken = timeout(NOT_LATER / 2, reserve).await.expect("it does not wait").unwrap();

    assert_eq!(taken.iter().map(Delivery::id).collect::<Vec<_>>(), [Some(jobs[1].envelope.id)]);
    other.rollback().await.unwrap();
    assert_eq!(subscription.reserve(&queue, request).await.unwrap().len(), 1);
    pool.close().await;
    own.drop_tables().await;
}

#[tokio::test]
async fn a_push_by_another_process_is_found_by_looking() {
    let Some(own) = Own::new("own::mysql::a_push_by_another_process_is_found_by_looking") else { return };
    let pusher = own.migrated().await;
    let worker = own.connect().await;
    let subscription = worker.subscribe(slice::from_ref(&queue())).await.unwrap();
    assert!(subscription.ready(Duration::ZERO).await.unwrap().is_empty());
    let waiting = wait_for_work(subscription);
    sleep(LOOKED).await;

    pusher.push(&queue(), &[job()]).await.remove(0).unwrap();

    let (ready, _) = timeout(NOT_LATER, waiting).await.expect("the push is found").unwrap();
    assert_eq!(ready, [queue()]);
    own.drop_tables().await;
}

#[tokio::test]
async fn a_push_of_the_same_process_is_heard_without_a_look() {
    let Some(own) = Own::new("own::mysql::a_push_of_the_same_process_is_heard_without_a_look") else {
        return;
    };
    own.migrated().await;
    let config = own.config().poll_intervals(LONG, LONG);
    let driver = DatabaseDriver::connect_with(&own.url, config).await.unwrap();
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    assert!(subscription.ready(Duration::ZERO).await.unwrap().is_empty());
    let waiting = wait_for_work(subscription);
    sleep(LOOKED).await;

    driver.push(&queue(), &[job()]).await.remove(0).unwrap();

    let (ready, _) = timeout(NOT_LATER, waiting).await.expect("the push is heard").unwrap();
    assert_eq!(ready, [queue()]);
    own.drop_tables().await;
}

/// What a connection of the program has for its next transactions.
async fn isolation(pool: &MySqlPool) -> String {
    let show = "SHOW SESSION VARIABLES WHERE variable_name IN ('transaction_isolation', 'tx_isolation')";
    let (_, value): (String, String) = sqlx::query_as(show).fetch_one(pool).await.unwrap();
    value
}

#[tokio::test]
async fn a_driver_on_the_programs_pool_leaves_it_open_and_its_settings_alone() {
    let name = "own::mysql::a_driver_on_the_programs_pool_leaves_it_open_and_its_settings_alone";
    let Some(own) = Own::new(name) else { return };
    let pool = MySqlPoolOptions::new().max_connections(1).connect(&own.url).await.unwrap();
    let driver = DatabaseDriver::from_pool(pool.clone(), own.config()).await.unwrap();
    driver.migrate().await.unwrap();
    driver.push(&queue(), &[job(), job()]).await.remove(0).unwrap();
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    assert_eq!(subscription.reserve(&queue(), Reserve::new(2)).await.unwrap().len(), 2);

    assert_eq!(isolation(&pool).await, "REPEATABLE-READ");
    driver.close().await.unwrap();

    assert_eq!(driver.depth(&queue()).await.unwrap_err().kind(), &ErrorKind::Unavailable);
    assert!(!pool.is_closed());
    own.drop_tables().await;
}

#[tokio::test]
async fn a_pool_that_does_not_commit_by_itself_is_refused() {
    let Some(own) = Own::new("own::mysql::a_pool_that_does_not_commit_by_itself_is_refused") else { return };
    let owner = own.migrated().await;
    let pool = MySqlPoolOptions::new().after_connect(|connection, _| {
        Box::pin(async move {
            sqlx::raw_sql("SET autocommit = 0").execute(connection).await?;
            Ok(())
        })
    });
    let pool = pool.connect(&own.url).await.unwrap();
    let driver = DatabaseDriver::from_pool(pool.clone(), own.config()).await.unwrap();

    let error = driver.push(&queue(), &[job()]).await.remove(0).unwrap_err();

    assert_eq!(error.kind(), &ErrorKind::Config);
    assert!(error.to_string().contains("autocommit"), "{error}");
    assert_eq!(owner.depth(&queue()).await.unwrap().ready, 0);
    pool.close().await;
    own.drop_tables().await;
}

#[tokio::test]
async fn a_user_without_permissions_is_told_which_ones_to_be_granted() {
    let name = "own::mysql::a_user_without_permissions_is_told_which_ones_to_be_granted";
    let Some(own) = Own::new(name) else { return };
    let owner = own.migrated().await;
    assert_eq!(owner.check().await.unwrap(), []);
    let (_, host) = own.url.rsplit_once('@').unwrap();
    let reader = format!("{}reader", own.prefix);
    own.run(&format!(
        "CREATE USER '{reader}'@'%' IDENTIFIED BY 'Reads-0nly';
         GRANT SELECT ON {{jobs}} TO '{reader}'@'%'; GRANT SELECT ON {{jobs}}_versions TO '{reader}'@'%'"
    ))
    .await;
    let url = format!("mysql://{reader}:Reads-0nly@{host}");
    let driver = DatabaseDriver::connect_with(&url, own.config()).await.unwrap();

    let findings = driver.check().await.unwrap();
    let push = driver.push(&queue(), &[job()]).await.remove(0);

    assert!(format!("{findings:?}").contains("INSERT, UPDATE and DELETE"), "{findings:?}");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(push.unwrap_err().kind(), &ErrorKind::Config);
    driver.close().await.unwrap();
    own.run(&format!("DROP USER '{reader}'@'%'")).await;
    own.drop_tables().await;
}
