//! Backlogs of a million.

use crate::backends::mysql::{crowd::reserves_alone_and_in_a_crowd, own::Own};

#[tokio::test]
async fn a_reserve_reads_no_row_of_three_million_that_are_not_for_it() {
    let Some(own) = Own::new("soak::mysql::a_reserve_reads_no_row_of_three_million_that_are_not_for_it")
    else {
        return;
    };

    let costs = reserves_alone_and_in_a_crowd(&own, 1_000_000).await;

    assert!(costs[1] < costs[0] + 100, "{costs:?}");
    own.drop_tables().await;
}
