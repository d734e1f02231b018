//! The dead letters: jobs whose name says that they are dead.

use std::{io, sync::Arc};

use stream_core::{DeadLetter, DeadLetterId, DeadLetterStore, Envelope, QueueName, Result, async_trait};

use crate::{
    entry::{Entry, Moment, State, now},
    error::unavailable,
    folder::Folder,
    queue::remove_all,
    store::Store,
};

/// The dead letters, as one connection sees them.
pub(crate) struct FileDeadLetters(pub(crate) Arc<Store>);

#[async_trait]
impl DeadLetterStore for FileDeadLetters {
    async fn list(
        &self,
        queue: &QueueName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        // Bytes of another store are behind all letters of this one.
        let after = after.map_or(0, |id| burial(id).unwrap_or(Moment::MAX));
        self.0
            .look("list dead letters", queue, move |folder| {
                let letters = dead(folder).into_iter().filter(|entry| entry.written > after).take(limit);
                let read = letters.map(|entry| to_letter(folder, entry)).collect::<io::Result<_>>();
                read.map_err(|error| unavailable("list dead letters", error))
            })
            .await
    }

    async fn retry(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        let wanted = burial(id);
        let revive_one = move |folder: &mut Folder| revive(folder, |entry| Some(entry.written) == wanted);
        self.change("retry dead letter", queue, revive_one).await.map(|went| went == 1)
    }

    async fn retry_all(&self, queue: &QueueName) -> Result<u64> {
        self.change("retry dead letters", queue, |folder| revive(folder, |_| true)).await
    }

    async fn remove(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        let wanted = burial(id);
        let goes = move |entry: &Entry| is_dead(entry) && Some(entry.written) == wanted;
        self.change("remove dead letter", queue, move |folder| remove_all(folder, goes))
            .await
            .map(|went| went == 1)
    }

    async fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.change("clear dead letters", queue, |folder| remove_all(folder, is_dead)).await
    }

    async fn count(&self, queue: &QueueName) -> Result<u64> {
        self.0.look("count dead letters", queue, |folder| Ok(dead(folder).len() as u64)).await
    }
}

impl FileDeadLetters {
    async fn change(
        &self,
        operation: &'static str,
        queue: &QueueName,
        change: impl FnOnce(&mut Folder) -> io::Result<u64> + Send + 'static,
    ) -> Result<u64> {
        let verb = move |folder: &mut Folder| change(folder).map_err(|error| unavailable(operation, error));
        self.0.change(operation, queue, verb).await
    }
}

fn is_dead(entry: &Entry) -> bool {
    entry.state == State::Dead
}

/// In the order of their burial, which wrote them anew.
fn dead(folder: &Folder) -> Vec<Entry> {
    let mut dead: Vec<_> = folder.jobs.values().copied().filter(is_dead).collect();
    dead.sort_by_key(|entry| entry.written);
    dead
}

/// Makes letters ready, as they are but for their counts; how many.
fn revive(folder: &mut Folder, goes: impl Fn(&Entry) -> bool) -> io::Result<u64> {
    let mut went = 0;
    for mut entry in dead(folder).into_iter().filter(goes) {
        entry.state = State::Waiting { due: now() };
        (entry.attempt, entry.lost) = (1, 0);
        folder.rename(entry)?;
        went += 1;
    }
    Ok(went)
}

fn to_letter(folder: &Folder, entry: Entry) -> io::Result<DeadLetter> {
    let content = folder.read(&entry)?;
    let id = DeadLetterId::new(entry.written.to_be_bytes());
    let envelope = Envelope::from_bytes(content.envelope);
    let mut letter = DeadLetter::new(id, envelope, content.error.unwrap_or_default());
    (letter.attempt, letter.lost) = (entry.attempt, entry.lost);
    Ok(letter)
}

/// The burial that an id names; none for bytes that this driver did not make.
fn burial(id: &DeadLetterId) -> Option<Moment> {
    Some(u64::from_be_bytes(id.as_bytes().try_into().ok()?))
}
