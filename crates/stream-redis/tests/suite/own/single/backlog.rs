//! A hundredth of the backlog of the soak tier.

use crate::backlog::{self, Size};

#[tokio::test]
async fn a_backlog_drains_in_short_steps() {
    let size = Size { due: 10_000, delayed: 10_000, lost: 1_000 };
    backlog::drains("own::single::backlog::a_backlog_drains_in_short_steps", size).await;
}
