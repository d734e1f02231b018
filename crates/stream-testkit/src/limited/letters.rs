//! The dead letters: every one, or a sample that is another each time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use stream_core::{
    Counts, DeadLetter, DeadLetterId, DeadLetterStore, Error, ErrorKind, Listing, QueueName, Result,
    async_trait,
};

use super::connection::{Connection, merged, unsupported};

/// A sample shows no more.
const SAMPLE: usize = 10;

pub(super) struct LimitedLetters {
    connection: Arc<Connection>,
    calls: AtomicU64,
}

impl LimitedLetters {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, calls: AtomicU64::new(0) }
    }

    fn is_sampled(&self) -> bool {
        self.connection.limits.capabilities.dead_letters == Listing::Sampled
    }

    /// Whether this call does not see what another would: every other one, beginning with the first.
    fn misses(&self) -> bool {
        self.is_sampled() && self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
    }

    fn below(&self) -> Result<&dyn DeadLetterStore> {
        let error = || Error::new(ErrorKind::Unexpected, "limited", "dead letters");
        self.connection.driver.dead_letters().ok_or_else(error)
    }

    /// A letter as it was pushed, with the counts that the store has.
    fn shown(&self, mut letter: DeadLetter) -> DeadLetter {
        self.connection.book.restore(&mut letter.envelope);
        if self.connection.limits.capabilities.counts == Counts::Merged {
            (letter.attempt, letter.lost) = merged(letter.attempt, letter.lost);
        }
        letter
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DeadLetterStore for LimitedLetters {
    async fn list(
        &self,
        queue: &QueueName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        if self.is_sampled() && after.is_some() {
            let limit = "a sample has no pages".into();
            return Err(unsupported("a cursor of dead letters", limit, "list"));
        }
        let most = if self.is_sampled() { limit.min(SAMPLE) } else { limit };
        let letters = self.below()?.list(queue, after, most).await?;
        let missing = usize::from(self.misses());
        Ok(letters.into_iter().skip(missing).map(|letter| self.shown(letter)).collect())
    }

    async fn retry(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        // Asked all the same: a closed connection says so.
        let is_there = self.below()?.count(queue).await? > 0;
        Ok(is_there && !self.misses() && self.below()?.retry(queue, id).await?)
    }

    async fn retry_all(&self, queue: &QueueName) -> Result<u64> {
        self.below()?.retry_all(queue).await
    }

    async fn remove(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        let is_there = self.below()?.count(queue).await? > 0;
        Ok(is_there && !self.misses() && self.below()?.remove(queue, id).await?)
    }

    async fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.below()?.clear(queue).await
    }

    async fn count(&self, queue: &QueueName) -> Result<u64> {
        let count = self.below()?.count(queue).await?;
        // An estimate that has not heard of the last one yet.
        Ok(if self.misses() { count.saturating_sub(1) } else { count })
    }
}
