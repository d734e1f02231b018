//! A backlog of a million.

use stream_testkit::soak_is_run;

use crate::own::sqlite::backlog::urgent_jobs_are_taken_before;

#[tokio::test]
async fn urgent_jobs_are_taken_before_a_million_others() {
    if soak_is_run("soak::sqlite::urgent_jobs_are_taken_before_a_million_others") {
        urgent_jobs_are_taken_before(500_000).await;
    }
}
