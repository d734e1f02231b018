//! A job as it is stored.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::*;

/// A job as it is stored.
///
/// A versioned MessagePack map, see `docs/envelope.md`; unknown fields are kept untouched.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Envelope {
    /// Made by the client.
    pub id: JobId,
    /// What the handler is found by.
    pub name: Cow<'static, str>,
    /// The serialised job; `Debug` shows only its size.
    pub payload: Vec<u8>,
    /// How the payload is serialised.
    pub codec: Codec,
    /// How urgent it is.
    pub priority: Priority,
    /// How many times it may fail before it is buried.
    pub max_attempts: u32,
    /// How long it waits between attempts.
    pub backoff: Backoff,
    /// How long one attempt may run.
    pub timeout: Option<Duration>,
    /// At most one job of a group is in flight, where the connection promises that.
    pub group: Option<String>,
    /// Not stored while a waiting or reserved job has this key, where the connection promises that.
    pub unique_key: Option<String>,
    /// Users' headers and the W3C `traceparent`; 8 KiB in all.
    pub headers: BTreeMap<String, String>,
    /// When it was made, by its maker's clock: information only.
    pub pushed_at: Option<SystemTime>,
    pub(crate) unknown: wire::Unknown,
}

impl Envelope {
    /// A job with the defaults.
    pub fn new(name: impl Into<Cow<'static, str>>, codec: Codec, payload: Vec<u8>) -> Self {
        Self::with_id(JobId::new(), name.into(), codec, payload)
    }

    pub(crate) fn with_id(id: JobId, name: Cow<'static, str>, codec: Codec, payload: Vec<u8>) -> Self {
        Self {
            id,
            name,
            payload,
            codec,
            priority: Priority::Default,
            max_attempts: wire::MAX_ATTEMPTS_DEFAULT,
            backoff: Backoff::DEFAULT,
            timeout: None,
            group: None,
            unique_key: None,
            headers: BTreeMap::new(),
            pushed_at: Some(id.made_at()),
            unknown: wire::Unknown::default(),
        }
    }

    /// The payload as a `T`.
    ///
    /// # Errors
    /// `InvalidJob` if it is none, or the codec is `Raw`, or `Json` without the feature.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.codec.deserialize(&self.payload).map_err(|source| {
            let reason = without_payload(&source.to_string());
            let detail = format!("the payload of `{}` does not fit its type{reason}", self.name);
            Error::new(ErrorKind::InvalidJob, "core", "decode").explained(detail)
        })
    }

    /// The bytes that are stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// The bytes and why they are none: cut off, another major version, an illegal field.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Undecodable> {
        wire::decode(bytes)
    }

    /// The length of `to_bytes`.
    pub fn encoded_len(&self) -> usize {
        self.to_bytes().len()
    }

    /// At least `encoded_len`, without encoding.
    pub(crate) fn rough_len(&self) -> usize {
        /// More than all at their limits: 8,192 headers take 80 KiB.
        const OTHER_FIELDS: usize = 100 * 1024;
        self.payload.len() + self.unknown.len() + OTHER_FIELDS
    }

    /// Refuses fields that no store may be asked to keep.
    ///
    /// # Errors
    /// `InvalidJob` with the field and its limit.
    pub fn validate(&self) -> Result<()> {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        bounded("the headers", headers, 0, HEADERS_BYTES_MAX)?;
        named("the name", Some(&self.name), NAME_BYTES_MAX)?;
        named("the group", self.group.as_deref(), GROUP_BYTES_MAX)?;
        named("the unique key", self.unique_key.as_deref(), UNIQUE_KEY_BYTES_MAX)?;
        ensure(self.max_attempts > 0, || Error::invalid_job("max_attempts must be at least 1"))?;
        ensure(self.timeout.is_none_or(|timeout| !timeout.is_zero() && timeout <= LONGEST), || {
            Error::invalid_job("the timeout must be above zero and at most 2^28-1 seconds")
        })?;
        self.backoff.validate()
    }
}

/// Without the payload, which serde quotes before `expected`.
fn without_payload(said: &str) -> String {
    if said.starts_with("missing field") || !said.contains('`') && !said.contains('"') {
        return format!(": {said}");
    }
    said.rsplit_once("expected ").map_or(String::new(), |(_, expected)| format!(": expected {expected}"))
}

fn named(what: &str, name: Option<&str>, max: usize) -> Result<()> {
    name.map_or(Ok(()), |name| bounded(what, name.len(), 1, max))
}

fn bounded(what: &str, bytes: usize, min: usize, max: usize) -> Result<()> {
    let error = || Error::invalid_job(format!("{what} must have {min} to {max} bytes, not {bytes}"));
    ensure((min..=max).contains(&bytes), error)
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Payload, headers and keys may hold secrets.
        let Self { id, name, priority, codec, payload, .. } = self;
        write!(f, "Envelope({id}, {name}, {priority}, {} bytes of {codec:?})", payload.len())
    }
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::deserialize(deserializer)?;
        Self::from_bytes(bytes).map_err(|undecodable| serde::de::Error::custom(undecodable.reason))
    }
}

/// How a payload is serialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// MessagePack with field names; the default.
    MessagePack,
    /// JSON; needs the feature `json`.
    Json,
    /// The user's own bytes.
    Raw,
}

impl Codec {
    pub(crate) const ALL: [Self; 3] = [Self::MessagePack, Self::Json, Self::Raw];

    /// The name in an envelope: `msgpack`, `json` or `raw`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MessagePack => "msgpack",
            Self::Json => "json",
            Self::Raw => "raw",
        }
    }

    pub(crate) fn serialize<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<u8>, BoxError> {
        match self {
            Self::MessagePack => Ok(rmp_serde::to_vec_named(value)?),
            #[cfg(feature = "json")]
            Self::Json => Ok(serde_json::to_vec(value)?),
            _ => Err(self.refusal().into()),
        }
    }

    fn deserialize<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, BoxError> {
        match self {
            Self::MessagePack => Ok(rmp_serde::from_slice(bytes)?),
            #[cfg(feature = "json")]
            Self::Json => Ok(serde_json::from_slice(bytes)?),
            _ => Err(self.refusal().into()),
        }
    }

    fn refusal(self) -> &'static str {
        match self {
            Self::Raw => "a raw payload has no type: see `Draft::raw` and `Envelope::payload`",
            _ => "it needs the feature `json` of stream-core",
        }
    }
}

/// A job to push: its envelope and what only the push needs.
#[derive(Clone)]
#[non_exhaustive]
pub struct NewJob {
    /// The job.
    pub envelope: Envelope,
    /// Not delivered sooner than this after the push, by the store's clock.
    pub delay: Duration,
    /// The routing key, where the connection promises that; at most 255 bytes.
    pub route: Option<String>,
}

impl NewJob {
    /// A job that is ready at once.
    pub fn new(envelope: Envelope) -> Self {
        Self { envelope, delay: Duration::ZERO, route: None }
    }

    /// Refuses what no store may be asked to keep.
    ///
    /// # Errors
    /// `InvalidJob` with the field and its limit.
    pub fn validate(&self) -> Result<()> {
        ensure(self.delay <= LONGEST, || Error::invalid_job("the delay must be at most 2^28-1 seconds"))?;
        named("the route", self.route.as_deref(), ROUTE_BYTES_MAX)?;
        self.envelope.validate()
    }
}

impl fmt::Debug for NewJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The route may hold a secret.
        let Self { envelope, delay, .. } = self;
        write!(f, "NewJob({envelope:?} in {delay:?})")
    }
}
