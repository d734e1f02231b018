//! The dead letters of the store.

use std::sync::Arc;

use stream_core::{DeadLetter, DeadLetterId, DeadLetterStore, QueueName, Result, async_trait};

use crate::{connection::Connection, error, state::Change};

/// The dead letters, as one connection sees them.
#[derive(Clone)]
pub(crate) struct MemoryDeadLetters {
    connection: Arc<Connection>,
}

impl MemoryDeadLetters {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }
}

#[async_trait]
impl DeadLetterStore for MemoryDeadLetters {
    async fn list(
        &self,
        queue: &QueueName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let after = after.map(|id| burial(id).ok_or_else(error::foreign_cursor)).transpose()?;
        self.connection.look("list dead letters", queue, |queue, _| queue.dead_letters(after, limit))
    }

    async fn retry(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.connection.change("retry dead letter", queue, |queue, _, now| {
            let went = burial(id).is_some_and(|burial| queue.retry_dead(burial, now));
            (went, Change::Wakes)
        })
    }

    async fn retry_all(&self, queue: &QueueName) -> Result<u64> {
        self.connection
            .change("retry dead letters", queue, |queue, _, now| (queue.retry_all_dead(now), Change::Wakes))
    }

    async fn remove(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.connection.change("remove dead letter", queue, |queue, _, _| {
            (burial(id).is_some_and(|burial| queue.remove_dead(burial)), Change::Quiet)
        })
    }

    async fn clear(&self, queue: &QueueName) -> Result<u64> {
        let removed = self
            .connection
            .change("clear dead letters", queue, |queue, _, _| (queue.clear_dead(), Change::Quiet))?;
        Ok(removed.len() as u64)
    }

    async fn count(&self, queue: &QueueName) -> Result<u64> {
        self.connection.look("count dead letters", queue, |queue, _| queue.dead_count())
    }
}

/// The burial that an id names; none for bytes that this driver did not make.
fn burial(id: &DeadLetterId) -> Option<u64> {
    Some(u64::from_be_bytes(id.as_bytes().try_into().ok()?))
}
