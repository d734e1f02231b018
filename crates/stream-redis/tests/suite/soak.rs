//! What takes minutes: run when it is asked for.

mod single {
    use crate::backlog::{self, Size};

    #[tokio::test]
    async fn a_backlog_of_two_million_drains_in_short_steps() {
        let size = Size { due: 1_000_000, delayed: 1_000_000, lost: 100_000 };
        backlog::drains("soak::single::a_backlog_of_two_million_drains_in_short_steps", size).await;
    }
}
