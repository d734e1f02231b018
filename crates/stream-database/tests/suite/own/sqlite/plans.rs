//! How SQLite finds rows: by an index that is entered at the right place, whatever else waits.

use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use stream_core::Driver;

use crate::backends::sqlite::File;

macro_rules! statement {
    ($name:literal) => {
        include_str!(concat!("../../../../src/sqlite/sql/", $name, ".sql"))
    };
}

/// The steps of a statement, as SQLite tells them, on a file that knows about its contents.
async fn plan(file: &File, sql: &str) -> Vec<String> {
    let sql: Vec<&str> = sql.lines().filter(|line| !line.starts_with("--")).collect();
    let sql = sql.join("\n").replace("{name}", "jobs");
    let sql = ["limits", "dead", "versions"].iter().fold(sql.replace("{jobs}", "jobs"), |sql, table| {
        sql.replace(&format!("{{{table}}}"), &format!("jobs_{table}"))
    });
    let mut connection = SqliteConnection::connect(&file.url()).await.unwrap();
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

/// A file in which nearly all rows are of one queue and priority: such statistics mislead a planner most.
async fn lopsided() -> File {
    let file = File::new();
    file.migrated().await.close().await.unwrap();
    let mut connection = SqliteConnection::connect(&file.url()).await.unwrap();
    let fill = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2000)
                INSERT INTO jobs (id, queue, payload) SELECT randomblob(16), 'default', x'00' FROM n;
                ANALYZE";
    sqlx::raw_sql(fill).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    file
}

#[tokio::test]
async fn a_reserve_enters_the_index_once_for_each_priority() {
    let file = lopsided().await;

    let plan = plan(&file, statement!("reserve")).await;

    let range = "USING COVERING INDEX jobs_fetch (queue=? AND priority=? AND available_at<?)";
    assert_eq!(plan.iter().filter(|step| step.contains(range)).count(), 4, "{plan:#?}");
    let by_place = "USING INTEGER PRIMARY KEY";
    assert_eq!(plan.iter().filter(|step| step.contains("SEARCH jobs ")).count(), 5, "{plan:#?}");
    assert!(plan.iter().any(|step| step.contains(by_place)), "{plan:#?}");
    // Sorted as the index is: nothing is gathered that is not taken.
    assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:#?}");
}

#[tokio::test]
async fn a_look_enters_the_index_once_for_each_priority() {
    let file = lopsided().await;

    let plan = plan(&file, statement!("probe")).await;

    let first = "USING COVERING INDEX jobs_fetch (queue=? AND priority=?)";
    assert_eq!(plan.iter().filter(|step| step.contains(first)).count(), 4, "{plan:#?}");
}

/// The name of what a list in JSON, or the gathering of rows by it, is called in the statements.
const LISTS: [&str; 2] = ["VIRTUAL TABLE", "SCAN ended"];

#[tokio::test]
async fn what_ends_deliveries_finds_each_by_its_id() {
    let (known, unknown) = (lopsided().await, File::new());
    unknown.migrated().await.close().await.unwrap();
    for (file, sql) in [&known, &unknown].into_iter().flat_map(|file| {
        let sql = [statement!("finish"), statement!("put_back"), statement!("extend")];
        sql.into_iter().chain([statement!("write_letters")]).map(move |sql| (file, sql))
    }) {
        let plan = plan(file, sql).await;

        assert!(plan.iter().any(|step| step.contains("INDEX jobs_id (id=? AND queue=?)")), "{sql} {plan:#?}");
        let mut scans = plan.iter().filter(|step| step.starts_with("SCAN"));
        assert!(scans.all(|step| LISTS.iter().any(|list| step.contains(list))), "{sql} {plan:#?}");
    }
}
