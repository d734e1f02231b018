//! The dead letters: a queue of their own for each queue.
//!
//! AMQP cannot look into a queue, only take from it: what is listed is taken and given back. So a listing is a sample,
//! while others look at the same time each sees a part.

use std::{fmt, sync::Arc};

use futures_core::future::BoxFuture;
use lapin::{
    BasicProperties, Channel,
    message::BasicGetMessage,
    options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, QueueDeclareOptions, QueuePurgeOptions},
    types::FieldTable,
};
use stream_core::{
    DeadLetter, DeadLetterId, DeadLetterStore, Envelope, Priority, QueueName, Result, async_trait,
};

use crate::{
    connection::Connection,
    copier::way,
    error::At,
    fault::{Failure, Fault, Outcome},
    live::Live,
    message::{Change, Message},
    publish::{Parcel, publish},
    rounds::Rounds,
    together,
    topology::Part,
};

/// Letters that are taken together. The broker sends a quorum queue up to 32 acknowledgements at once, each letter that
/// was got counting as one, and forgets the rest if the channel ends before (`quorum_commands_soft_limit`).
const BATCH: usize = 25;

/// The dead letters of a connection.
#[derive(Clone)]
pub(crate) struct RabbitMqDeadLetters {
    connection: Arc<Connection>,
}

/// A letter that was taken.
struct Taken {
    tag: u64,
    message: Message,
}

/// What is done with letters.
#[derive(Clone, Copy)]
enum Deed {
    Retry,
    Remove,
}

impl RabbitMqDeadLetters {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    async fn live(&self, queue: &QueueName) -> Outcome<Arc<Live>> {
        self.connection.ensure_open()?;
        let live = self.connection.pushes.live().await?;
        self.connection.topology.ensure(&live, [Part::Dead(queue.clone())]).await?;
        Ok(live)
    }

    fn name(&self, queue: &QueueName) -> String {
        self.connection.topology.names.dead(queue)
    }

    async fn sample(&self, queue: &QueueName, limit: usize) -> Outcome<Vec<DeadLetter>> {
        let live = self.live(queue).await?;
        let count = self.counted(&live, queue).await?;
        // On a channel of its own: what was taken goes back with it, whatever happens.
        let channel = live.open().await?;
        let mut letters = Vec::new();
        let wanted = limit.min(count);
        while letters.len() < wanted {
            let taken = take(&live, &channel, &self.name(queue), (wanted - letters.len()).min(BATCH)).await?;
            if taken.is_empty() {
                break;
            }
            letters.extend(taken.into_iter().map(|taken| letter(&taken.message)));
        }
        give_back(&live, &channel).await?;
        Ok(letters)
    }

    async fn counted(&self, live: &Live, queue: &QueueName) -> Outcome<usize> {
        let channel = live.lend().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare(self.name(queue).into(), passive, FieldTable::default());
        let declared = live.within(declared).await;
        if declared.is_err() {
            live.forget(&self.name(queue));
        }
        let count = declared?.message_count();
        channel.give_back();
        Ok(count as usize)
    }

    /// Looks through the letters once, does the deed to the one of this name, and gives the others back.
    async fn one(&self, queue: &QueueName, id: &DeadLetterId, deed: Deed) -> Outcome<bool> {
        let live = self.live(queue).await?;
        let mut left = self.counted(&live, queue).await?;
        let channel = live.open().await?;
        let mut is_done = false;
        while left > 0 && !is_done {
            let taken = take(&live, &channel, &self.name(queue), left.min(BATCH)).await?;
            if taken.is_empty() {
                break;
            }
            left -= taken.len();
            if let Some(found) = taken.iter().find(|taken| taken.message.letter() == id.as_bytes()) {
                self.perform(&live, &channel, queue, std::slice::from_ref(found), deed).await?;
                is_done = true;
            }
        }
        give_back(&live, &channel).await?;
        Ok(is_done)
    }

    /// Retries as many letters as there are now.
    async fn all(&self, queue: &QueueName) -> Outcome<u64> {
        let live = self.live(queue).await?;
        let mut left = self.counted(&live, queue).await?;
        let channel = live.open().await?;
        let mut went = 0;
        while left > 0 {
            let taken = take(&live, &channel, &self.name(queue), left.min(BATCH)).await?;
            if taken.is_empty() {
                break;
            }
            left -= taken.len();
            self.perform(&live, &channel, queue, &taken, Deed::Retry).await?;
            went += taken.len() as u64;
        }
        give_back(&live, &channel).await?;
        Ok(went)
    }

    /// Does the deed to letters that were taken on this channel, and ends them there.
    async fn perform(
        &self,
        live: &Live,
        channel: &Channel,
        queue: &QueueName,
        taken: &[Taken],
        deed: Deed,
    ) -> Outcome<()> {
        if let Deed::Retry = deed {
            self.write(live, channel, queue, taken).await?;
        }
        // Those before these are ended, so one frame for all covers no other.
        if let Some(last) = taken.last() {
            let options = BasicAckOptions { multiple: taken.len() > 1 };
            live.within(channel.basic_ack(last.tag, options)).await.map_err(in_doubt)?;
        }
        // Answered once the broker has read the acknowledgements.
        let read = channel.channel_flow(lapin::options::ChannelFlowOptions { active: true });
        live.within(read).await.map(drop).map_err(in_doubt)
    }

    /// Writes letters as jobs again.
    async fn write(&self, live: &Live, channel: &Channel, queue: &QueueName, taken: &[Taken]) -> Outcome<()> {
        live.unblocked().await?;
        let removed = Failure::new(Fault::InDoubt, "a queue was removed meanwhile: retry again");
        let mut rounds = Rounds::new(taken.len(), &removed);
        while let Some(open) = rounds.next().await {
            let parts = open.iter().flat_map(|at| way(queue, priority(&taken[*at].message), 0));
            self.connection.topology.ensure(live, parts).await.map_err(in_doubt)?;
            let parcels: Vec<Parcel<'_>> =
                open.iter().map(|at| self.parcel(queue, &taken[*at].message)).collect();
            if rounds.judge(publish(channel, &parcels, self.connection.config.call_timeout).await) {
                live.forget_all();
            }
        }
        // Some may be there as jobs already.
        rounds.outcomes().into_iter().collect::<Outcome<()>>().map_err(in_doubt)
    }

    fn parcel<'m>(&self, queue: &QueueName, message: &'m Message) -> Parcel<'m> {
        let properties: BasicProperties = message.changed(Change::Revived);
        let key = self.connection.topology.names.ready(queue, priority(message));
        Parcel { exchange: String::new(), key, body: &message.body, properties }
    }

    async fn purge(&self, queue: &QueueName) -> Outcome<u64> {
        let live = self.live(queue).await?;
        let channel = live.lend().await?;
        let purged = channel.queue_purge(self.name(queue).into(), QueuePurgeOptions::default());
        let purged = live.within(purged).await.map_err(in_doubt)?;
        channel.give_back();
        Ok(purged.into())
    }
}

/// Something may have been done before it failed.
pub(crate) fn in_doubt(failure: Failure) -> Failure {
    let fault = if failure.fault == Fault::Away { Fault::InDoubt } else { failure.fault };
    Failure { fault, ..failure }
}

/// Goes on when the caller no longer waits: letters that were taken are not left lying between.
async fn to_its_end<T: Send + 'static>(
    deed: impl Future<Output = Outcome<T>> + Send + 'static,
) -> Outcome<T> {
    let done = tokio::spawn(deed).await;
    done.unwrap_or_else(|_| Err(Failure::new(Fault::InDoubt, "the runtime ended meanwhile")))
}

/// Takes up to so many letters.
async fn take(live: &Live, channel: &Channel, name: &str, count: usize) -> Outcome<Vec<Taken>> {
    let gets = (0..count).map(|_| {
        let get = channel.basic_get(name.into(), BasicGetOptions::default());
        Box::pin(get) as BoxFuture<'_, lapin::Result<Option<BasicGetMessage>>>
    });
    let got = live.within(async { together::all(gets).await.into_iter().collect::<lapin::Result<Vec<_>>>() });
    let got = got.await?.into_iter().flatten().map(|got| {
        let delivery = got.delivery;
        Taken { tag: delivery.delivery_tag, message: Message::read(delivery) }
    });
    Ok(got.collect())
}

/// Gives back all that was taken on this channel and not ended, and ends it.
async fn give_back(live: &Live, channel: &Channel) -> Outcome<()> {
    let options = BasicNackOptions { multiple: true, requeue: true };
    // Tag 0 means all there are: <https://www.rabbitmq.com/docs/nack>.
    live.within(channel.basic_nack(0, options)).await?;
    live.within(channel.close(200, "done".into())).await
}

fn letter(message: &Message) -> DeadLetter {
    let envelope = Envelope::from_bytes(message.body.clone());
    let error = message.last_error.clone().unwrap_or_default();
    let mut letter = DeadLetter::new(DeadLetterId::new(message.letter()), envelope, error);
    letter.attempt = message.attempt;
    letter.lost = message.lost;
    letter
}

/// Which of the four queues a letter goes back to: the one it came from, else the one its envelope names.
fn priority(message: &Message) -> Priority {
    message.priority.unwrap_or_else(|| {
        Envelope::from_bytes(message.body.clone()).map_or(Priority::Default, |envelope| envelope.priority)
    })
}

impl fmt::Debug for RabbitMqDeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMqDeadLetters").finish_non_exhaustive()
    }
}

#[async_trait]
impl DeadLetterStore for RabbitMqDeadLetters {
    async fn list(
        &self,
        queue: &QueueName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let at = At("list dead letters");
        if after.is_some() {
            return Err(at.unsupported("pages of dead letters", "a listing is a sample from the front"));
        }
        self.sample(queue, limit).await.map_err(|failure| at.error(failure))
    }

    async fn retry(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        let (letters, queue, id) = (self.clone(), queue.clone(), id.clone());
        let retried = to_its_end(async move { letters.one(&queue, &id, Deed::Retry).await }).await;
        retried.map_err(|failure| At("retry dead letter").error(failure))
    }

    async fn retry_all(&self, queue: &QueueName) -> Result<u64> {
        let (letters, queue) = (self.clone(), queue.clone());
        let retried = to_its_end(async move { letters.all(&queue).await }).await;
        retried.map_err(|failure| At("retry dead letters").error(failure))
    }

    async fn remove(&self, queue: &QueueName, id: &DeadLetterId) -> Result<bool> {
        let (letters, queue, id) = (self.clone(), queue.clone(), id.clone());
        let removed = to_its_end(async move { letters.one(&queue, &id, Deed::Remove).await }).await;
        removed.map_err(|failure| At("remove dead letter").error(failure))
    }

    async fn clear(&self, queue: &QueueName) -> Result<u64> {
        self.purge(queue).await.map_err(|failure| At("clear dead letters").error(failure))
    }

    async fn count(&self, queue: &QueueName) -> Result<u64> {
        let count = async {
            let live = self.live(queue).await?;
            self.counted(&live, queue).await
        };
        count.await.map(|count| count as u64).map_err(|failure| At("count dead letters").error(failure))
    }
}
