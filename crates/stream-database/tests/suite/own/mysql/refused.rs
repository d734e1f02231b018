//! Rows that the database does not take: each names its job, and its neighbours are stored.

use stream_core::{Draft, Driver, Error, ErrorKind};

use super::{Own, queue};

/// Pushes three jobs whose second is to be refused; its error.
async fn refused(own: &Own, seconds_bytes: usize) -> Error {
    let driver = own.migrated().await;
    let jobs = [10, seconds_bytes, 11].map(|bytes| Draft::raw("x", vec![b'7'; bytes]).into_job().unwrap());

    let mut answers = driver.push(&queue(), &jobs).await;

    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(driver.depth(&queue()).await.unwrap().ready, 2);
    let error = answers.remove(1).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::InvalidJob, "{error:?}");
    assert!(error.to_string().contains(&jobs[1].envelope.id.to_string()), "{error}");
    assert!(!format!("{error:?}").contains("777"), "{error:?}");
    error
}

#[tokio::test]
async fn a_rule_of_the_table_that_a_row_breaks_names_the_job() {
    let Some(own) = Own::new("own::mysql::refused::a_rule_of_the_table_that_a_row_breaks_names_the_job")
    else {
        return;
    };
    own.migrated().await;
    own.run("ALTER TABLE {jobs} ADD CHECK (LENGTH(payload) < 1000)").await;
    refused(&own, 5_000).await;
    own.drop_tables().await;
}

#[tokio::test]
async fn a_trigger_that_refuses_a_row_names_the_job() {
    let Some(own) = Own::new("own::mysql::refused::a_trigger_that_refuses_a_row_names_the_job") else {
        return;
    };
    own.migrated().await;
    own.run(
        "CREATE TRIGGER {jobs}_small BEFORE INSERT ON {jobs} FOR EACH ROW
         IF LENGTH(NEW.payload) > 1000 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'too much'; END IF",
    )
    .await;
    let error = refused(&own, 5_000).await;
    assert!(format!("{error:?}").contains("too much"), "{error:?}");
    own.drop_tables().await;
}

#[tokio::test]
async fn a_row_that_a_column_does_not_hold_names_the_job() {
    let Some(own) = Own::new("own::mysql::refused::a_row_that_a_column_does_not_hold_names_the_job") else {
        return;
    };
    own.migrated().await;
    own.run("ALTER TABLE {jobs} MODIFY payload VARBINARY(1000) NOT NULL").await;
    refused(&own, 5_000).await;
    own.drop_tables().await;
}

#[tokio::test]
async fn a_unique_index_that_is_not_ours_names_the_job_and_not_its_values() {
    let name = "own::mysql::refused::a_unique_index_that_is_not_ours_names_the_job_and_not_its_values";
    let Some(own) = Own::new(name) else { return };
    own.migrated().await;
    own.run("ALTER TABLE {jobs} ADD bytes INT AS (LENGTH(payload)) STORED, ADD UNIQUE (bytes)").await;
    refused(&own, 10).await;
    own.drop_tables().await;
}

#[tokio::test]
async fn a_value_that_is_in_the_way_is_not_quoted() {
    let Some(own) = Own::new("own::mysql::refused::a_value_that_is_in_the_way_is_not_quoted") else { return };
    let driver = own.migrated().await;
    // No envelope is text of this kind, and the server shows where it stops being it.
    own.run("ALTER TABLE {jobs} MODIFY payload LONGTEXT CHARACTER SET utf8mb4 NOT NULL").await;

    let job = Draft::named("x", &1).into_job().unwrap();
    let error = driver.push(&queue(), &[job]).await.remove(0).unwrap_err();

    assert_eq!(error.kind(), &ErrorKind::InvalidJob, "{error:?}");
    assert!(!format!("{error:?}").contains(r"\x"), "{error:?}");
    own.drop_tables().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_for_the_server_is_split_or_refused_by_name() {
    let name = "own::mysql::refused::a_message_that_is_too_large_for_the_server_is_split_or_refused_by_name";
    let Some((_server, own)) = Own::private(name).await else { return };
    own.run("SET GLOBAL max_allowed_packet = 1048576").await;
    let error = refused(&own, 1_100_000).await;
    assert!(format!("{error:?}").contains("max_allowed_packet"), "{error:?}");

    let driver = own.connect().await;
    let jobs: Vec<_> = (0..10).map(|_| Draft::raw("x", vec![7; 300_000]).into_job().unwrap()).collect();
    for round in 1..=2 {
        // What the server takes is known from the first call on.
        let jobs = if round == 1 { &jobs[..5] } else { &jobs[5..] };
        for answer in driver.push(&queue(), jobs).await {
            answer.unwrap();
        }
    }
    assert_eq!(driver.depth(&queue()).await.unwrap().ready, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_can_lose_jobs_are_told() {
    let Some((_server, own)) =
        Own::private("own::mysql::refused::settings_that_can_lose_jobs_are_told").await
    else {
        return;
    };
    let driver = own.migrated().await;
    assert_eq!(driver.check().await.unwrap(), []);
    own.run("ALTER TABLE {jobs}_limits ENGINE = MyISAM; SET GLOBAL innodb_flush_log_at_trx_commit = 2").await;
    own.run("SET GLOBAL read_only = 1").await;

    let findings = format!("{:?}", driver.check().await.unwrap());

    for what in ["innodb_flush_log_at_trx_commit is not 1", "InnoDB", "read only"] {
        assert!(findings.contains(what), "{what}: {findings}");
    }
}
