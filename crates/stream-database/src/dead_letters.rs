//! The dead letters: paged, revived and removed by the numbers of their burials.

use std::sync::Arc;

use stream_core::{DeadLetter, DeadLetterId, DeadLetterStore, QueueName, Result, async_trait};

use crate::{
    connection::Connection,
    error::Effect,
    row::{Burials, Letter, envelope},
};

/// Letters of one step of `retry_all` and `clear`: short enough not to keep others waiting.
const STEP: usize = 1_000;

/// The dead letters, as one connection sees them.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseDeadLetters {
    connection: Arc<Connection>,
}

/// What is done with letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Revive,
    Remove,
}

impl DatabaseDeadLetters {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    async fn one(&self, verb: Verb, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.connection.ensure_open(self.connection.at(verb.operation(), Effect::Reads))?;
        let Some(burial) = number(id) else { return Ok(false) };
        let burials = Burials { after: burial - 1, until: burial, limit: 1 };
        Ok(self.step(verb, queue, burials).await?.0 == 1)
    }

    /// Goes over the letters that there are now; says how many went.
    async fn all(&self, verb: Verb, queue: &QueueName) -> Result<u64> {
        let dialect = &self.connection.dialect;
        let last = self.connection.read(verb.operation(), || dialect.last_burial(queue.as_str())).await?;
        let (Some(until), mut after, mut went) = (last, 0, 0) else { return Ok(0) };
        loop {
            let (count, last) = self.step(verb, queue, Burials { after, until, limit: STEP }).await?;
            went += count;
            match last {
                Some(last) if last < until => after = last,
                _ => return Ok(went),
            }
        }
    }

    async fn step(&self, verb: Verb, queue: &QueueName, burials: Burials) -> Result<(u64, Option<i64>)> {
        let dialect = &self.connection.dialect;
        let step = || match verb {
            Verb::Revive => dialect.revive(queue.as_str(), burials),
            Verb::Remove => dialect.remove(queue.as_str(), burials),
        };
        let moved = self.connection.write(verb.operation(), step).await?;
        if verb == Verb::Revive && moved.count > 0 {
            self.connection.wakes.queue(queue.as_str());
        }
        Ok((moved.count, moved.last))
    }
}

impl Verb {
    fn operation(self) -> &'static str {
        match self {
            Self::Revive => "retry dead letters",
            Self::Remove => "remove dead letters",
        }
    }
}

#[async_trait]
impl DeadLetterStore for DatabaseDeadLetters {
    async fn list(
        &self,
        queue: &QueueName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let at = self.connection.at("list dead letters", Effect::Reads);
        let foreign = || at.config("the cursor is no dead letter id of this driver");
        let after = after.map(|id| number(id).ok_or_else(foreign)).transpose()?.unwrap_or(0);
        if limit == 0 {
            return self.connection.ensure_open(at).map(|()| Vec::new());
        }
        let dialect = &self.connection.dialect;
        let letters =
            self.connection.read(at.operation, || dialect.letters(queue.as_str(), after, limit)).await?;
        Ok(letters.into_iter().map(dead_letter).collect())
    }

    async fn retry(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.one(Verb::Revive, queue, id).await
    }

    async fn retry_all(&self, queue: &QueueName) -> Result<u64> {
        self.all(Verb::Revive, queue).await
    }

    async fn remove(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        self.one(Verb::Remove, queue, id).await
    }

    async fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.all(Verb::Remove, queue).await
    }

    async fn count(&self, queue: &QueueName) -> Result<u64> {
        let dialect = &self.connection.dialect;
        self.connection.read("count dead letters", || dialect.count_letters(queue.as_str())).await
    }
}

fn dead_letter(letter: Letter) -> DeadLetter {
    let id = DeadLetterId::new(letter.burial.to_be_bytes());
    let mut dead =
        DeadLetter::new(id, envelope(letter.id, letter.payload), String::from_utf8_lossy(&letter.error));
    dead.attempt = letter.attempts.saturating_add(1);
    dead.lost = letter.lost;
    dead
}

/// The burial that an id names, counted from 1; none for bytes that this driver did not make.
fn number(id: &DeadLetterId) -> Option<i64> {
    let number = i64::from_be_bytes(id.as_bytes().try_into().ok()?);
    (number > 0).then_some(number)
}
