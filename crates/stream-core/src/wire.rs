//! The bytes of an envelope: one MessagePack map with string keys, version 1.
//!
//! See `docs/envelope.md`. A default is left out.

use std::time::{Duration, SystemTime};

use rmp::{Marker, decode, encode};
use serde::{Deserialize, Serialize, de::DeserializeOwned, de::IgnoredAny};

use crate::*;

const VERSION: u64 = 1;
/// What a missing field means never changes.
pub(crate) const MAX_ATTEMPTS_DEFAULT: u32 = 25;
/// The head of the map counts to 65,535.
const FIELDS_MAX: u32 = 1_000;
/// Hostile bytes must not exhaust the stack.
const DEPTH_MAX: usize = 32;
/// Bytes of the head of the map.
const HEAD: usize = 3;

/// Fields of another version, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Unknown {
    bytes: Vec<u8>,
    fields: u16,
}

impl Unknown {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

pub(crate) fn encode(envelope: &Envelope) -> Vec<u8> {
    let mut out = Writer { bytes: Vec::with_capacity(envelope.payload.len() + 128), fields: 0 };
    out.bytes.resize(HEAD, 0);
    out.field("v", Some(VERSION));
    out.binary("id", envelope.id.as_bytes());
    out.field("name", Some(&envelope.name));
    out.binary("payload", &envelope.payload);
    out.unless_default("codec", envelope.codec.as_str(), Codec::MessagePack.as_str());
    out.unless_default("priority", envelope.priority.as_str(), Priority::Default.as_str());
    out.unless_default("max_attempts", envelope.max_attempts, MAX_ATTEMPTS_DEFAULT);
    let backoff = Some(&envelope.backoff).filter(|backoff| **backoff != Backoff::DEFAULT);
    out.field("backoff", backoff.map(Waits::from));
    out.field("timeout_ms", envelope.timeout.map(ms));
    out.field("group", envelope.group.as_ref());
    out.field("unique_key", envelope.unique_key.as_ref());
    out.field("headers", Some(&envelope.headers).filter(|headers| !headers.is_empty()));
    let since = envelope.pushed_at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    out.field("pushed_at_ms", since.map(|since| since.as_millis() as u64));
    out.finish(&envelope.unknown)
}

struct Writer {
    bytes: Vec<u8>,
    fields: u16,
}

const INFALLIBLE: &str = "writing to memory cannot fail";

impl Writer {
    fn key(&mut self, key: &str) {
        self.fields += 1;
        encode::write_str(&mut self.bytes, key).expect(INFALLIBLE);
    }

    fn field<T: Serialize>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.key(key);
            rmp_serde::encode::write_named(&mut self.bytes, &value).expect(INFALLIBLE);
        }
    }

    fn binary(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        encode::write_bin(&mut self.bytes, value).expect(INFALLIBLE);
    }

    fn unless_default<T: Serialize + PartialEq>(&mut self, key: &str, value: T, default: T) {
        self.field(key, Some(value).filter(|value| *value != default));
    }

    fn finish(mut self, unknown: &Unknown) -> Vec<u8> {
        self.bytes.extend_from_slice(&unknown.bytes);
        let [high, low] = (self.fields + unknown.fields).to_be_bytes();
        self.bytes[..HEAD].copy_from_slice(&[Marker::Map16.to_u8(), high, low]);
        self.bytes
    }
}

/// A backoff: a first wait and its factor, or a list.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waits {
    #[serde(skip_serializing_if = "Option::is_none")]
    first_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_ms: Option<Vec<u64>>,
    max_ms: u64,
    jitter: f64,
}

impl From<&Backoff> for Waits {
    fn from(backoff: &Backoff) -> Self {
        let list = backoff.list.as_ref();
        Self {
            first_ms: list.is_none().then(|| ms(backoff.first)),
            factor: list.is_none().then_some(backoff.factor),
            list_ms: list.map(|list| list.iter().copied().map(ms).collect()),
            max_ms: ms(backoff.max),
            jitter: backoff.jitter,
        }
    }
}

impl From<Waits> for Backoff {
    fn from(waits: Waits) -> Self {
        let from_ms = Duration::from_millis;
        let backoff = match waits.list_ms {
            Some(list) => Self::list(list.into_iter().map(from_ms).collect::<Vec<_>>()),
            None => Self::exponential(from_ms(waits.first_ms.unwrap_or(0)), waits.factor.unwrap_or(1.0)),
        };
        backoff.up_to(from_ms(waits.max_ms)).jitter(waits.jitter)
    }
}

/// Rounded up: a wait is never shorter.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

pub(crate) fn decode(bytes: Vec<u8>) -> Result<Envelope, Undecodable> {
    let mut reading = Reading { input: &bytes, ..Reading::default() };
    let (read, id) = (reading.envelope(), reading.id);
    read.map_err(|reason| Undecodable::new(bytes, id, reason))
}

#[derive(Default)]
struct Reading<'a> {
    input: &'a [u8],
    version: Option<u64>,
    id: Option<JobId>,
    payload: Option<Vec<u8>>,
}

impl<'a> Reading<'a> {
    fn envelope(&mut self) -> Result<Envelope, String> {
        let count = decode::read_map_len(&mut self.input).map_err(|_| "not a MessagePack map")?;
        if count > FIELDS_MAX {
            return Err(format!("{count} fields are more than {FIELDS_MAX}"));
        }
        let id = JobId::from_bytes([0; 16]);
        let mut envelope = Envelope::with_id(id, "".into(), Codec::MessagePack, Vec::new());
        envelope.pushed_at = None;
        for _ in 0..count {
            self.field(&mut envelope)?;
            if let Some(version) = self.version.filter(|version| *version != VERSION) {
                // Only the id means the same in every version.
                self.id = self.id.or_else(|| self.find_id());
                return Err(format!("version {version} is not known here, only {VERSION}"));
            }
        }
        self.version.ok_or("field `v` is missing")?;
        envelope.id = self.id.ok_or("field `id` is missing")?;
        envelope.payload = self.payload.take().ok_or("field `payload` is missing")?;
        match self.input.len() {
            0 => envelope.validate().map(|()| envelope).map_err(|error| error.to_string()),
            left => Err(format!("{left} bytes too long")),
        }
    }

    fn field(&mut self, envelope: &mut Envelope) -> Result<(), String> {
        let start = self.input;
        let key = self.text().map_err(|reason| format!("a key is {reason}"))?;
        let is_known =
            self.value(key, envelope).map_err(|reason| format!("field `{}` is {reason}", shown(key)))?;
        if !is_known {
            envelope.unknown.bytes.extend_from_slice(&start[..start.len() - self.input.len()]);
            envelope.unknown.fields += 1;
        }
        Ok(())
    }

    /// Says whether this version knows the key.
    fn value(&mut self, key: &str, envelope: &mut Envelope) -> Result<bool, String> {
        let from_ms = Duration::from_millis;
        match key {
            "v" => self.version = Some(self.read()?),
            "id" => self.id = Some(self.job_id()?),
            "name" => envelope.name = self.text()?.to_owned().into(),
            "payload" => self.payload = Some(self.binary()?.to_vec()),
            "codec" => envelope.codec = self.one_of(&Codec::ALL, Codec::as_str)?,
            "priority" => envelope.priority = self.one_of(&Priority::ALL, Priority::as_str)?,
            "max_attempts" => envelope.max_attempts = self.read()?,
            "backoff" => envelope.backoff = self.read::<Waits>()?.into(),
            "timeout_ms" => envelope.timeout = Some(from_ms(self.read()?)),
            "group" => envelope.group = Some(self.read()?),
            "unique_key" => envelope.unique_key = Some(self.read()?),
            "headers" => envelope.headers = self.read()?,
            "pushed_at_ms" => envelope.pushed_at = SystemTime::UNIX_EPOCH.checked_add(from_ms(self.read()?)),
            _ => return self.read::<IgnoredAny>().map(|_| false),
        }
        Ok(true)
    }

    /// One value, to its exact end.
    fn read<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        let mut value = rmp_serde::Deserializer::new(&mut self.input);
        value.set_max_depth(DEPTH_MAX);
        T::deserialize(&mut value).map_err(|error| format!("wrong: {error}"))
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let (text, rest) = decode::read_str_from_slice(self.input).map_err(|_| "not text, or cut off")?;
        self.input = rest;
        Ok(text)
    }

    fn binary(&mut self) -> Result<&'a [u8], String> {
        let len = decode::read_bin_len(&mut self.input).map_err(|_| "not binary")?;
        let (taken, rest) = self.input.split_at_checked(len as usize).ok_or("cut off")?;
        self.input = rest;
        Ok(taken)
    }

    fn job_id(&mut self) -> Result<JobId, String> {
        let bytes = self.binary()?.try_into().map_err(|_| "not 16 bytes long")?;
        Ok(JobId::from_bytes(bytes))
    }

    /// The id among the fields that are left.
    fn find_id(&mut self) -> Option<JobId> {
        while self.text().ok()? != "id" {
            self.read::<IgnoredAny>().ok()?;
        }
        self.job_id().ok()
    }

    fn one_of<T: Copy>(&mut self, all: &[T], name: fn(T) -> &'static str) -> Result<T, String> {
        let text = self.text()?;
        let found = all.iter().copied().find(|one| name(*one) == text);
        found.ok_or_else(|| format!("`{}`, which is not known here", shown(text)))
    }
}

fn shown(text: &str) -> String {
    text.chars().take(40).filter(|character| !character.is_control()).collect()
}
