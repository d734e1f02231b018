//! What PostgreSQL's own ways ask for: permissions, locks, pools, tables that are not there.

mod cost;
pub(crate) mod snapshot;
mod transaction;

use std::{slice, time::Duration};

use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use stream_core::{Draft, Driver, ErrorKind, Pushed, QueueName, Reserve, Subscription};
use stream_database::{DatabaseDriver, Notifications};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::backends::postgres::own::Own;

const NOT_LATER: Duration = Duration::from_secs(5);

fn queue() -> QueueName {
    QueueName::new("default").unwrap()
}

#[tokio::test]
async fn a_wrong_password_is_a_configuration_error_that_does_not_show_it() {
    let Some(own) =
        Own::new("own::postgres::a_wrong_password_is_a_configuration_error_that_does_not_show_it")
    else {
        return;
    };
    let (scheme, rest) = own.url.split_once("://").unwrap();
    let (user, host) = rest.rsplit_once('@').unwrap();
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    let url = format!("{scheme}://{user}:sesame@{host}");
    let driver = DatabaseDriver::connect(&url).await.unwrap();

    let error = driver.depth(&queue()).await.unwrap_err();

    assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
    assert!(!format!("{error} {error:?} {driver:?}").contains("sesame"), "{error:?}");
}

#[tokio::test]
async fn missing_tables_are_named_with_what_repairs_them() {
    let Some(own) = Own::new("own::postgres::missing_tables_are_named_with_what_repairs_them") else {
        return;
    };
    let driver = own.connect().await;

    assert_eq!(driver.depth(&queue()).await.unwrap_err().kind(), &ErrorKind::Config);
    let findings = format!("{:?}", driver.check().await.unwrap());
    assert!(findings.contains("migrate"), "{findings}");

    driver.migrate().await.unwrap();
    assert_eq!(driver.depth(&queue()).await.unwrap().ready, 0);
    own.drop_tables().await;
}

#[tokio::test]
async fn many_programs_may_migrate_at_once() {
    let Some(own) = Own::new("own::postgres::many_programs_may_migrate_at_once") else { return };
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
async fn an_extend_does_not_wait_for_a_row_that_the_handler_has_locked() {
    let Some(own) = Own::new("own::postgres::an_extend_does_not_wait_for_a_row_that_the_handler_has_locked")
    else {
        return;
    };
    let driver = own.migrated().await;
    driver.push(&queue(), &[Draft::named("x", &1).into_job().unwrap()]).await.remove(0).unwrap();
    let subscription = driver.subscribe(slice::from_ref(&queue())).await.unwrap();
    let delivery = subscription.reserve(&queue(), Reserve::new(1)).await.unwrap().remove(0);
    let pool = PgPool::connect(&own.url).await.unwrap();
    let mut handler = pool.begin().await.unwrap();
    let lock = format!("SELECT 1 FROM {}jobs FOR UPDATE", own.prefix);
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *handler).await.unwrap();

    let (queue, deliveries) = (queue(), [&delivery]);
    let extend = driver.extend(&queue, &deliveries, Duration::from_secs(30));
    let answer = timeout(NOT_LATER, extend).await.expect("it does not wait").remove(0);

    // Not over: nobody can take a row that is locked, whatever its lease.
    assert_eq!(answer.unwrap_err().kind(), &ErrorKind::Unavailable);
    handler.rollback().await.unwrap();
    driver.extend(&queue, &deliveries, Duration::from_secs(30)).await.remove(0).unwrap();
    own.drop_tables().await;
}

/// Longer than a test may take: who answers sooner was told, or has looked again.
const LONG: Duration = Duration::from_secs(60);

/// `ready` has looked by then, and waits; if it has not, a test proves less and fails no sooner.
const LOOKED: Duration = Duration::from_millis(500);
/// On a connection that is warm; shorter than the time in which a queue is told of once.
const LOOKED_AGAIN: Duration = Duration::from_millis(1);

/// Waits at the queue in the background.
fn wait_for_work(subscription: Box<dyn Subscription>) -> JoinHandle<(Vec<QueueName>, Box<dyn Subscription>)> {
    tokio::spawn(async move { (subscription.ready(LONG).await.unwrap(), subscription) })
}

async fn push_and_be_heard(
    pusher: &DatabaseDriver,
    subscription: Box<dyn Subscription>,
    looked: Duration,
) -> Box<dyn Subscription> {
    assert!(subscription.ready(Duration::ZERO).await.unwrap().is_empty());
    let waiting = wait_for_work(subscription);
    sleep(looked).await;
    pusher.push(&queue(), &[Draft::named("x", &1).into_job().unwrap()]).await.remove(0).unwrap();

    let (ready, subscription) = timeout(NOT_LATER, waiting).await.expect("the push is heard").unwrap();

    assert_eq!(ready, [queue()]);
    let taken = subscription.reserve(&queue(), Reserve::new(2)).await.unwrap();
    assert_eq!(taken.len(), 1);
    subscription
}

#[tokio::test]
async fn without_notifications_a_push_by_others_is_found() {
    let Some(own) = Own::new("own::postgres::without_notifications_a_push_by_others_is_found") else {
        return;
    };
    let pusher = own.migrated().await;
    let config = own.config().notifications(Notifications::Off);
    let worker = DatabaseDriver::connect_with(&own.url, config).await.unwrap();
    let subscription = worker.subscribe(slice::from_ref(&queue())).await.unwrap();

    push_and_be_heard(&pusher, subscription, LOOKED).await;

    own.drop_tables().await;
}

#[tokio::test]
async fn pushes_by_others_are_heard_without_a_look_however_close_they_come() {
    let name = "own::postgres::pushes_by_others_are_heard_without_a_look_however_close_they_come";
    let Some(own) = Own::new(name) else { return };
    let pusher = own.migrated().await;
    let config = own.config().poll_intervals(LONG, LONG);
    let worker = DatabaseDriver::connect_with(&own.url, config).await.unwrap();
    let subscription = worker.subscribe(slice::from_ref(&queue())).await.unwrap();

    let mut subscription = push_and_be_heard(&pusher, subscription, LOOKED).await;
    // These come within the time in which a queue is told of once.
    for _ in 0..5 {
        subscription = push_and_be_heard(&pusher, subscription, LOOKED_AGAIN).await;
    }
    // And this one after all was quiet: the push itself tells, at once.
    push_and_be_heard(&pusher, subscription, LOOKED).await;

    own.drop_tables().await;
}

#[tokio::test]
async fn a_driver_on_the_programs_pool_leaves_it_open() {
    let Some(own) = Own::new("own::postgres::a_driver_on_the_programs_pool_leaves_it_open") else { return };
    let pool = PgPool::connect(&own.url).await.unwrap();
    let driver = DatabaseDriver::from_pool(pool.clone(), own.config()).await.unwrap();
    driver.migrate().await.unwrap();
    driver.push(&queue(), &[Draft::named("x", &1).into_job().unwrap()]).await.remove(0).unwrap();

    driver.close().await.unwrap();

    assert_eq!(driver.depth(&queue()).await.unwrap_err().kind(), &ErrorKind::Unavailable);
    assert!(!pool.is_closed());
    own.drop_tables().await;
}

#[tokio::test]
async fn a_row_that_the_database_refuses_names_itself_and_harms_no_neighbour() {
    let Some(own) =
        Own::new("own::postgres::a_row_that_the_database_refuses_names_itself_and_harms_no_neighbour")
    else {
        return;
    };
    let driver = own.migrated().await;
    own.run("ALTER TABLE {jobs} ADD CHECK (octet_length(payload) < 1000)").await;
    let jobs = [10, 5_000, 10].map(|bytes| Draft::raw("x", vec![7; bytes]).into_job().unwrap());

    let answers = driver.push(&queue(), &jobs).await;

    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(answers[1].as_ref().unwrap_err().kind(), &ErrorKind::InvalidJob);
    assert_eq!(driver.depth(&queue()).await.unwrap().ready, 2);
    own.drop_tables().await;
}

#[tokio::test]
async fn a_user_without_permissions_is_told_which_ones_to_be_granted() {
    let Some(own) = Own::new("own::postgres::a_user_without_permissions_is_told_which_ones_to_be_granted")
    else {
        return;
    };
    let owner = own.migrated().await;
    assert_eq!(owner.check().await.unwrap(), []);
    let role = format!("{}reader", own.prefix);
    own.run(&format!("CREATE ROLE {role}; GRANT SELECT ON {{jobs}}, {{jobs}}_versions TO {role}")).await;
    let set_role: String = format!("SET ROLE {role}");
    let pool = PgPoolOptions::new().after_connect(move |connection, _| {
        let set_role = set_role.clone();
        Box::pin(async move {
            sqlx::raw_sql(AssertSqlSafe(set_role)).execute(connection).await?;
            Ok(())
        })
    });
    let pool = pool.connect(&own.url).await.unwrap();
    let reader = DatabaseDriver::from_pool(pool.clone(), own.config()).await.unwrap();

    let findings = reader.check().await.unwrap();
    let push = reader.push(&queue(), &[Draft::named("x", &1).into_job().unwrap()]).await.remove(0);

    assert!(format!("{findings:?}").contains("INSERT, UPDATE and DELETE"), "{findings:?}");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(push.unwrap_err().kind(), &ErrorKind::Config);
    pool.close().await;
    own.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    own.drop_tables().await;
}

#[tokio::test]
async fn a_session_that_can_lose_or_not_write_jobs_is_told_so() {
    let Some(own) = Own::new("own::postgres::a_session_that_can_lose_or_not_write_jobs_is_told_so") else {
        return;
    };
    let owner = own.migrated().await;
    let options = "?options=-c%20synchronous_commit%3Doff%20-c%20default_transaction_read_only%3Don";
    let url = format!("{}{options}", own.url);
    let driver = DatabaseDriver::connect_with(&url, own.config()).await.unwrap();

    let findings = format!("{:?}", driver.check().await.unwrap());

    for what in ["synchronous_commit is off", "the session is read only"] {
        assert!(findings.contains(what), "{findings}");
    }
    owner.close().await.unwrap();
    own.drop_tables().await;
}

#[tokio::test]
async fn a_push_that_waited_for_a_burial_does_not_bring_the_job_back() {
    let name = "own::postgres::a_push_that_waited_for_a_burial_does_not_bring_the_job_back";
    let Some(own) = Own::new(name) else { return };
    let driver = own.migrated().await;
    let job = Draft::named("x", &1).into_job().unwrap();
    driver.push(&queue(), slice::from_ref(&job)).await.remove(0).unwrap();
    // Somebody else's burial, not yet committed.
    let pool = PgPool::connect(&own.url).await.unwrap();
    let mut burial = pool.begin().await.unwrap();
    let bury = "WITH gone AS (DELETE FROM {jobs} RETURNING *) \
                INSERT INTO {jobs}_dead (id, queue, payload, attempts, created_at, priority, lost, error) \
                SELECT id, queue, payload, attempts, created_at, priority, lost, 'hopeless' FROM gone";
    let bury = bury.replace("{jobs}", &format!("{}jobs", own.prefix));
    sqlx::raw_sql(AssertSqlSafe(bury)).execute(&mut *burial).await.unwrap();

    let (pusher, again) = (driver.clone(), job.clone());
    let pushed = tokio::spawn(async move { pusher.push(&queue(), &[again]).await.remove(0) });
    let waits = format!(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE query LIKE '%{}jobs_insert%')",
        own.prefix
    );
    let waiting = async {
        let count = || sqlx::query_scalar::<_, i64>(AssertSqlSafe(waits.clone())).fetch_one(&pool);
        while count().await.unwrap() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(NOT_LATER, waiting).await.expect("the push waits for the burial");
    burial.commit().await.unwrap();

    assert_eq!(pushed.await.unwrap().unwrap(), Pushed::AlreadyStored(job.envelope.id));
    let depth = driver.depth(&queue()).await.unwrap();
    assert_eq!((depth.ready, depth.dead), (0, Some(1)));
    own.drop_tables().await;
}
