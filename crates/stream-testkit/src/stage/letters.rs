//! The dead letters of a case, where a listing may be a sample and a count an estimate.

use std::time::Duration;

use stream_core::{DeadLetter, Listing};
use tokio::time::{Instant, sleep};

use super::{NOT_LATER, Stage};

impl Stage {
    /// The dead letters that one call shows, up to a thousand.
    pub async fn dead(&self) -> Vec<DeadLetter> {
        match self.driver().dead_letters() {
            Some(store) => store.list(self.queue(), None, 1_000).await.expect("dead letters are listed"),
            None => Vec::new(),
        }
    }

    /// The letters, of which there must be `count`, at most ten; a sample is taken until it shows them all.
    pub async fn letters(&self, count: usize) -> Vec<DeadLetter> {
        let deadline = Instant::now() + NOT_LATER;
        loop {
            let letters = self.dead().await;
            if letters.len() >= count || !self.may_miss_letters() || Instant::now() > deadline {
                assert_eq!(letters.len(), count, "dead letters");
                return letters;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The one letter that there must be.
    pub async fn only_letter(&self) -> DeadLetter {
        self.letters(1).await.remove(0)
    }

    /// Asserts how many letters there are, if they can be read; an estimate is asked for again.
    pub async fn assert_letters(&self, count: u64) {
        if let Some(store) = self.driver().dead_letters() {
            let counts = async || store.count(self.queue()).await.expect("counted") == count;
            self.until_letters_are_found(counts).await;
        }
    }

    /// Asks once where letters are listed exactly, elsewhere until the answer is true.
    pub async fn until_letters_are_found(&self, ask: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + NOT_LATER;
        while !ask().await {
            assert!(self.may_miss_letters() && Instant::now() < deadline, "the letters were not found");
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn may_miss_letters(&self) -> bool {
        self.capabilities().dead_letters == Listing::Sampled
    }
}
