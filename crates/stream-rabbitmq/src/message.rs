//! A job as it lies on the broker: the envelope as its body, the driver's own counts in headers.

use std::hash::{BuildHasher, RandomState};

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use stream_core::Priority;

/// 1 + the deliveries that ended with a retry; left out for 1.
const ATTEMPT: &str = "stream-attempt";
/// The deliveries that ended without an outcome, before the copy was written; left out for 0.
const LOST: &str = "stream-lost";
/// Why the last attempt failed, or why the job was buried.
const ERROR: &str = "stream-error";
/// The name of a burial.
const BURIAL: &str = "stream-burial";
/// How urgent a job is, for the exchange in front of a queue's four.
pub(crate) const PRIORITY: &str = "stream-priority";
/// How often a quorum queue has delivered the message before: written by the broker.
const DELIVERY_COUNT: &str = "x-delivery-count";
/// Why the broker itself moved a message to the dead letters.
const FIRST_DEATH_REASON: &str = "x-first-death-reason";
/// It was delivered too often; the levels of the delay chain have another reason.
const DELIVERY_LIMIT: &str = "delivery_limit";
/// The broker keeps the message on disk.
const PERSISTENT: u8 = 2;

/// What lies on the broker, without what the broker added.
///
/// The headers of the broker must not be written again. A message that comes back to a queue through expiry alone is
/// dropped without a trace if its `x-death` says that it has been there (rabbitmq-server issue 10709), and `CC` sends
/// copies elsewhere. A delay in `expiration` would end the copy before its time, and a foreign `user-id` is refused.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) body: Vec<u8>,
    properties: BasicProperties,
    pub(crate) attempt: u32,
    pub(crate) lost: u32,
    pub(crate) last_error: Option<String>,
    /// Which of the four queues it belongs to, where it says so: a dead letter does.
    pub(crate) priority: Option<Priority>,
    burial: Option<Vec<u8>>,
}

/// What a copy of a message says that its original did not.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The counts so far.
    None,
    /// One more attempt, and why the last one failed.
    Retried(String),
    /// One more loss.
    Lost,
    /// A dead letter: why, and which of the four queues it came from.
    Buried(String, Priority),
    /// As new, but for its error.
    Revived,
}

impl Message {
    /// Reads a delivery of the broker.
    pub(crate) fn read(delivery: Delivery) -> Self {
        let Delivery { properties, data: body, .. } = delivery;
        let none = FieldTable::default();
        let headers = properties.headers().as_ref().unwrap_or(&none);
        let redeliveries = number(headers, DELIVERY_COUNT);
        let is_given_up = text(headers, FIRST_DEATH_REASON).is_some_and(|reason| reason == DELIVERY_LIMIT);
        let given_up = || is_given_up.then(|| "the broker's limit of deliveries was reached".to_owned());
        let (attempt, lost) = (number(headers, ATTEMPT), number(headers, LOST));
        let last_error = text(headers, ERROR).or_else(given_up);
        let burial = text(headers, BURIAL).map(String::into_bytes);
        let priority = text(headers, PRIORITY)
            .and_then(|name| Priority::ALL.into_iter().find(|one| one.as_str() == name));
        let properties = own(&properties);
        let lost = lost.saturating_add(redeliveries);
        Self { body, properties, attempt: attempt.max(1), lost, last_error, priority, burial }
    }

    /// Another job of the same bytes, with the counts of this one after a change.
    pub(crate) fn changed(&self, change: Change) -> BasicProperties {
        let (attempt, lost, error) = match change {
            Change::None => (self.attempt, self.lost, self.last_error.clone()),
            Change::Retried(error) => (self.attempt.saturating_add(1), self.lost, Some(error)),
            Change::Lost => (self.attempt, self.lost.saturating_add(1), self.last_error.clone()),
            Change::Buried(error, priority) => return self.buried(error, priority),
            Change::Revived => (1, 0, self.last_error.clone()),
        };
        self.with(attempt, lost, error)
    }

    fn buried(&self, error: String, priority: Priority) -> BasicProperties {
        let properties = self.with(self.attempt, self.lost, Some(error));
        let mut headers = properties.headers().clone().unwrap_or_default();
        headers.insert(BURIAL.into(), long(&random_name()));
        with_priority(&mut headers, priority);
        properties.with_headers(headers)
    }

    fn with(&self, attempt: u32, lost: u32, error: Option<String>) -> BasicProperties {
        let mut headers = self.properties.headers().clone().unwrap_or_default();
        if attempt > 1 {
            headers.insert(ATTEMPT.into(), AMQPValue::LongLongInt(attempt.into()));
        }
        if lost > 0 {
            headers.insert(LOST.into(), AMQPValue::LongLongInt(lost.into()));
        }
        if let Some(error) = error {
            headers.insert(ERROR.into(), long(&error));
        }
        self.properties.clone().with_headers(headers)
    }

    /// What names this message among the dead letters: its burial, or for one that others put there its bytes.
    pub(crate) fn letter(&self) -> Vec<u8> {
        self.burial.clone().unwrap_or_else(|| {
            let id = self.properties.message_id().as_ref().map_or("", ShortString::as_str);
            [b"body ".as_slice(), &fnv(id.as_bytes()).to_be_bytes(), &fnv(&self.body).to_be_bytes()].concat()
        })
    }
}

/// The properties of a job that is new.
pub(crate) fn fresh(id: String) -> BasicProperties {
    BasicProperties::default().with_delivery_mode(PERSISTENT).with_message_id(id.into())
}

/// The header by which the exchange in front of a queue finds the right one of its four.
pub(crate) fn with_priority(headers: &mut FieldTable, priority: Priority) {
    headers.insert(PRIORITY.into(), long(priority.as_str()));
}

/// The properties of a message without what is not its own, and with an id by which a returned copy is recognised.
fn own(properties: &BasicProperties) -> BasicProperties {
    let headers = properties.headers().iter().flat_map(FieldTable::inner);
    let headers = headers.filter(|(name, _)| !is_added(name.as_str()));
    let headers = FieldTable::from(
        headers
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<std::collections::BTreeMap<_, _>>(),
    );
    let id = properties.message_id().clone().unwrap_or_else(|| random_name().into());
    let mut kept =
        BasicProperties::default().with_delivery_mode(PERSISTENT).with_message_id(id).with_headers(headers);
    if let Some(content_type) = properties.content_type() {
        kept = kept.with_content_type(content_type.clone());
    }
    if let Some(encoding) = properties.content_encoding() {
        kept = kept.with_content_encoding(encoding.clone());
    }
    if let Some(correlation) = properties.correlation_id() {
        kept = kept.with_correlation_id(correlation.clone());
    }
    if let Some(reply_to) = properties.reply_to() {
        kept = kept.with_reply_to(reply_to.clone());
    }
    if let Some(kind) = properties.kind() {
        kept = kept.with_type(kind.clone());
    }
    if let Some(app) = properties.app_id() {
        kept = kept.with_app_id(app.clone());
    }
    if let Some(timestamp) = properties.timestamp() {
        kept = kept.with_timestamp(*timestamp);
    }
    kept
}

/// Headers that the broker or this driver wrote for one trip, or that would send a copy elsewhere.
fn is_added(name: &str) -> bool {
    const BROKERS: [&str; 3] = ["x-death", DELIVERY_COUNT, "x-acquired-count"];
    BROKERS.contains(&name)
        || ["x-first-death-", "x-last-death-", "x-opt-", "stream-"]
            .iter()
            .any(|start| name.starts_with(start))
        || ["CC", "BCC"].contains(&name)
}

fn number(headers: &FieldTable, name: &str) -> u32 {
    let number = match headers.inner().get(name) {
        Some(AMQPValue::LongLongInt(number)) => *number,
        Some(AMQPValue::LongInt(number)) => (*number).into(),
        Some(AMQPValue::LongUInt(number)) => (*number).into(),
        Some(AMQPValue::ShortInt(number)) => (*number).into(),
        Some(AMQPValue::ShortUInt(number)) => (*number).into(),
        Some(AMQPValue::ShortShortInt(number)) => (*number).into(),
        Some(AMQPValue::ShortShortUInt(number)) => (*number).into(),
        _ => 0,
    };
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

fn text(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

/// 128 bits that nobody else has drawn.
pub(crate) fn random_name() -> String {
    format!("{:016x}{:016x}", random(), random())
}

/// From the system's randomness: each state has keys of its own.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// The same in every process and version, unlike the hashes of std: it names a letter.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
