//! Sends messages through one channel and says of each what became of it.

use std::{collections::HashSet, time::Duration};

use futures_core::future::BoxFuture;

use lapin::{
    BasicProperties, Channel, Confirmation, PublisherConfirm, message::BasicReturnMessage,
    options::BasicPublishOptions, types::ShortString,
};
use tokio::time::{Instant, timeout_at};

use crate::{
    fault::{Failure, Fault, Outcome},
    together,
};

/// A message on its way. The empty exchange is the broker's own, which takes it to the queue that is its key.
#[derive(Debug)]
pub(crate) struct Parcel<'b> {
    pub(crate) exchange: String,
    pub(crate) key: String,
    pub(crate) body: &'b [u8],
    pub(crate) properties: BasicProperties,
}

/// What became of a message that was sent.
#[derive(Debug)]
pub(crate) enum Fate {
    /// The broker has it.
    Confirmed,
    /// No queue is there for it: it was not kept.
    Unroutable,
    /// The queue did not take it: it is full, or has no leader yet.
    Refused,
    /// As the failure says.
    Failed(Failure),
}

/// The broker sends a message that it cannot route back, instead of dropping it.
const MANDATORY: BasicPublishOptions = BasicPublishOptions { mandatory: true, immediate: false };

/// Publishes all at once and awaits their confirms; the fate of each.
///
/// The channel is in confirm mode and nobody else publishes through it, or the messages that come back could not be
/// told apart.
pub(crate) async fn publish(channel: &Channel, parcels: &[Parcel<'_>], limit: Duration) -> Vec<Fate> {
    let deadline = Deadline { at: Instant::now() + limit, limit };
    let sends = together::all(parcels.iter().map(|parcel| send(channel, parcel)));
    let Ok(sent) = bounded(deadline, sends).await else {
        return parcels.iter().map(|_| Fate::Failed(late(deadline))).collect();
    };
    let mut returned = HashSet::new();
    let mut fates = Vec::with_capacity(parcels.len());
    for sent in sent {
        let confirmed = match sent {
            Ok(confirm) => bounded(deadline, confirm).await.and_then(|it| it.map_err(Failure::in_doubt)),
            // A message that was not written to its last byte was not sent.
            Err(error) => Err(Failure::away(error)),
        };
        fates.push(match confirmed {
            Ok(Confirmation::Ack(message)) => {
                returned.extend(message.map(|message| name(&message)));
                Fate::Confirmed
            }
            Ok(Confirmation::Nack(message)) => {
                returned.extend(message.map(|message| name(&message)));
                Fate::Refused
            }
            Ok(Confirmation::NotRequested) => {
                Fate::Failed(Failure::new(Fault::Unexpected, "the channel is not in confirm mode"))
            }
            Err(failure) => Fate::Failed(failure),
        });
    }
    if !returned.is_empty() {
        for (fate, parcel) in fates.iter_mut().zip(parcels) {
            if matches!(fate, Fate::Confirmed) && returned.contains(&of(parcel)) {
                *fate = Fate::Unroutable;
            }
        }
    }
    fates
}

fn send<'p>(channel: &'p Channel, parcel: &'p Parcel<'_>) -> BoxFuture<'p, lapin::Result<PublisherConfirm>> {
    let (exchange, key) = (parcel.exchange.as_str().into(), parcel.key.as_str().into());
    Box::pin(channel.basic_publish(exchange, key, MANDATORY, parcel.body, parcel.properties.clone()))
}

/// By what a message that came back is recognised. The client hands it over with some confirm of the same time, not
/// always with its own.
type Name = (String, String, String);

fn name(returned: &BasicReturnMessage) -> Name {
    let id = returned.properties.message_id().as_ref().map_or("", ShortString::as_str);
    (id.to_owned(), returned.exchange.as_str().to_owned(), returned.routing_key.as_str().to_owned())
}

fn of(parcel: &Parcel<'_>) -> Name {
    let id = parcel.properties.message_id().as_ref().map_or("", ShortString::as_str);
    (id.to_owned(), parcel.exchange.clone(), parcel.key.clone())
}

#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    limit: Duration,
}

fn late(deadline: Deadline) -> Failure {
    Failure::no_answer(deadline.limit, Fault::InDoubt)
}

async fn bounded<T>(deadline: Deadline, future: impl Future<Output = T>) -> Outcome<T> {
    timeout_at(deadline.at, future).await.map_err(|_| late(deadline))
}
