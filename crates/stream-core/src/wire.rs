//! The bytes of an envelope: one MessagePack map with string keys, version 1.
//!
//! `docs/envelope.md` describes it field by field; the golden files under `tests/golden` hold it
//! still. A field with its default is left out; an unknown field is kept as the bytes it came in.

use std::{borrow::Cow, collections::BTreeMap, time::Duration, time::SystemTime};

use rmp::{Marker, decode, encode};

use crate::{Backoff, Codec, Envelope, JobId, Priority};

/// The major version that this code reads and writes.
const VERSION: u64 = 1;
/// Part of version 1: what a missing field means never changes with a default of the library.
pub(crate) const MAX_ATTEMPTS_DEFAULT: u32 = 25;
/// Deeper values are refused, so that hostile bytes cannot exhaust the stack.
const DEPTH_MAX: u32 = 32;

/// The fields that this version does not know: whole key-value pairs, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Unknown {
    bytes: Vec<u8>,
    fields: u32,
}

impl Unknown {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Why bytes are no envelope, and the id if it was read before that.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) id: Option<JobId>,
    pub(crate) reason: String,
}

pub(crate) fn encode(envelope: &Envelope) -> Vec<u8> {
    let mut out = Writer { bytes: Vec::with_capacity(envelope.payload.len() + 128), fields: 0 };
    out.field("v", |bytes| write_uint(bytes, VERSION));
    out.field("id", |bytes| write_bin(bytes, envelope.id.as_bytes()));
    out.field("name", |bytes| write_str(bytes, &envelope.name));
    out.field("payload", |bytes| write_bin(bytes, &envelope.payload));
    if envelope.codec != Codec::MessagePack {
        out.field("codec", |bytes| write_str(bytes, envelope.codec.as_str()));
    }
    if envelope.priority != Priority::Default {
        out.field("priority", |bytes| write_str(bytes, envelope.priority.as_str()));
    }
    if envelope.max_attempts != MAX_ATTEMPTS_DEFAULT {
        out.field("max_attempts", |bytes| write_uint(bytes, envelope.max_attempts.into()));
    }
    if envelope.backoff != Backoff::DEFAULT {
        out.field("backoff", |bytes| write_backoff(bytes, &envelope.backoff));
    }
    if let Some(timeout) = envelope.timeout {
        out.field("timeout_ms", |bytes| write_uint(bytes, ms(timeout)));
    }
    if let Some(group) = &envelope.group {
        out.field("group", |bytes| write_str(bytes, group));
    }
    if let Some(key) = &envelope.unique_key {
        out.field("unique_key", |bytes| write_str(bytes, key));
    }
    if !envelope.headers.is_empty() {
        out.field("headers", |bytes| write_headers(bytes, &envelope.headers));
    }
    if let Some(since) = envelope.pushed_at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()) {
        out.field("pushed_at_ms", |bytes| write_uint(bytes, since.as_millis() as u64));
    }
    out.finish(&envelope.unknown)
}

struct Writer {
    bytes: Vec<u8>,
    fields: u32,
}

/// Bytes set aside for the head of the map: at most 65,535 fields.
const MAP_HEAD: usize = 3;

impl Writer {
    fn field(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        if self.fields == 0 {
            self.bytes.resize(MAP_HEAD, 0);
        }
        self.fields += 1;
        write_str(&mut self.bytes, key);
        value(&mut self.bytes);
    }

    fn finish(mut self, unknown: &Unknown) -> Vec<u8> {
        self.bytes.extend_from_slice(&unknown.bytes);
        let fields = (self.fields + unknown.fields) as u16;
        let [high, low] = fields.to_be_bytes();
        self.bytes[..MAP_HEAD].copy_from_slice(&[Marker::Map16.to_u8(), high, low]);
        self.bytes
    }
}

// Writing to a `Vec` cannot fail; rmp's signatures are those of any writer.
const INFALLIBLE: &str = "writing to memory cannot fail";

fn write_uint(bytes: &mut Vec<u8>, value: u64) {
    encode::write_uint(bytes, value).expect(INFALLIBLE);
}

fn write_str(bytes: &mut Vec<u8>, value: &str) {
    encode::write_str(bytes, value).expect(INFALLIBLE);
}

fn write_bin(bytes: &mut Vec<u8>, value: &[u8]) {
    encode::write_bin(bytes, value).expect(INFALLIBLE);
}

fn write_headers(bytes: &mut Vec<u8>, headers: &BTreeMap<String, String>) {
    encode::write_map_len(bytes, headers.len() as u32).expect(INFALLIBLE);
    for (name, value) in headers {
        write_str(bytes, name);
        write_str(bytes, value);
    }
}

fn write_backoff(bytes: &mut Vec<u8>, backoff: &Backoff) {
    let map_len = |bytes: &mut Vec<u8>, len| encode::write_map_len(bytes, len).expect(INFALLIBLE);
    match &backoff.list {
        Some(list) => {
            map_len(bytes, 3);
            write_str(bytes, "list_ms");
            encode::write_array_len(bytes, list.len() as u32).expect(INFALLIBLE);
            list.iter().for_each(|wait| write_uint(bytes, ms(*wait)));
        }
        None => {
            map_len(bytes, 4);
            write_str(bytes, "first_ms");
            write_uint(bytes, ms(backoff.first));
            write_str(bytes, "factor");
            encode::write_f64(bytes, backoff.factor).expect(INFALLIBLE);
        }
    }
    write_str(bytes, "max_ms");
    write_uint(bytes, ms(backoff.max));
    write_str(bytes, "jitter");
    encode::write_f64(bytes, backoff.jitter).expect(INFALLIBLE);
}

/// Whole milliseconds, rounded up: a wait may be longer by less than one, never shorter.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Envelope, Failure> {
    let mut seen = None;
    fields(bytes, &mut seen).map_err(|reason| Failure { id: seen, reason })
}

fn fields(bytes: &[u8], seen_id: &mut Option<JobId>) -> Result<Envelope, String> {
    let mut input = bytes;
    let count = decode::read_map_len(&mut input).map_err(|_| "not a MessagePack map".to_owned())?;
    let mut envelope = Envelope::new("", Codec::MessagePack, Vec::new());
    envelope.pushed_at = None;
    let (mut version, mut payload) = (None, None);
    for _ in 0..count {
        let start = input;
        let key = read_str(&mut input).map_err(|reason| format!("a key is {reason}"))?;
        match field(&mut envelope, key, &mut input, seen_id, (&mut version, &mut payload)) {
            Some(read) => read.map_err(|reason| format!("field `{}` is {reason}", shown(key)))?,
            None => {
                skip(&mut input, DEPTH_MAX)
                    .map_err(|reason| format!("field `{}` is {reason}", shown(key)))?;
                let pair = &start[..start.len() - input.len()];
                envelope.unknown.bytes.extend_from_slice(pair);
                envelope.unknown.fields += 1;
            }
        }
        if version.is_some_and(|version| version != VERSION) {
            // Read on for the id alone: the rest may mean something else in that version.
            *seen_id = seen_id.or_else(|| find_id(input));
            return Err(format!("version {} is not known here, only {VERSION}", version.unwrap_or(0)));
        }
    }
    match (version, *seen_id, payload, input.len()) {
        (None, ..) => Err("field `v` is missing".into()),
        (_, None, ..) => Err("field `id` is missing".into()),
        (_, _, None, _) => Err("field `payload` is missing".into()),
        (_, Some(id), Some(payload), 0) => {
            envelope.id = id;
            envelope.payload = payload;
            envelope.validate().map(|()| envelope).map_err(|error| error.to_string())
        }
        (.., left) => Err(format!("{left} bytes too long")),
    }
}

type Required<'a> = (&'a mut Option<u64>, &'a mut Option<Vec<u8>>);

/// Reads the value of a known key into the envelope; `None` for an unknown key.
fn field(
    envelope: &mut Envelope,
    key: &str,
    input: &mut &[u8],
    id: &mut Option<JobId>,
    (version, payload): Required<'_>,
) -> Option<Result<(), String>> {
    let read = match key {
        "v" => read_uint(input).map(|value| *version = Some(value)),
        "id" => read_id(input).map(|value| *id = Some(value)),
        "name" => read_str(input).map(|value| envelope.name = Cow::Owned(value.to_owned())),
        "payload" => read_bin(input).map(|value| *payload = Some(value.to_vec())),
        "codec" => one_of(input, &Codec::ALL, Codec::as_str).map(|value| envelope.codec = value),
        "priority" => one_of(input, &Priority::ALL, Priority::as_str).map(|value| envelope.priority = value),
        "max_attempts" => read_uint(input)
            .and_then(|value| u32::try_from(value).map_err(|_| "above 2^32-1".to_owned()))
            .map(|value| envelope.max_attempts = value),
        "backoff" => read_backoff(input).map(|value| envelope.backoff = value),
        "timeout_ms" => read_uint(input).map(|value| envelope.timeout = Some(Duration::from_millis(value))),
        "group" => read_str(input).map(|value| envelope.group = Some(value.to_owned())),
        "unique_key" => read_str(input).map(|value| envelope.unique_key = Some(value.to_owned())),
        "headers" => read_headers(input).map(|value| envelope.headers = value),
        "pushed_at_ms" => read_uint(input).map(|value| {
            envelope.pushed_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(value));
        }),
        _ => return None,
    };
    Some(read)
}

fn shown(key: &str) -> String {
    key.chars().take(40).filter(|character| !character.is_control()).collect()
}

fn read_uint(input: &mut &[u8]) -> Result<u64, String> {
    decode::read_int(input).map_err(|_| "not a whole number from 0".to_owned())
}

fn read_str<'a>(input: &mut &'a [u8]) -> Result<&'a str, String> {
    let (text, rest) = decode::read_str_from_slice(*input).map_err(|_| "not text, or cut off".to_owned())?;
    *input = rest;
    Ok(text)
}

fn read_bin<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let len = decode::read_bin_len(input).map_err(|_| "not binary".to_owned())?;
    take(input, len as usize)
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], String> {
    let (taken, rest) = input.split_at_checked(len).ok_or("cut off")?;
    *input = rest;
    Ok(taken)
}

fn read_id(input: &mut &[u8]) -> Result<JobId, String> {
    let bytes = read_bin(input)?;
    bytes.try_into().map(JobId::from_bytes).map_err(|_| "not 16 bytes long".to_owned())
}

/// The id among the fields that are left, if it is there.
fn find_id(mut input: &[u8]) -> Option<JobId> {
    loop {
        match read_str(&mut input).ok()? {
            "id" => return read_id(&mut input).ok(),
            _ => skip(&mut input, DEPTH_MAX).ok()?,
        }
    }
}

fn one_of<T: Copy>(input: &mut &[u8], all: &[T], name: impl Fn(T) -> &'static str) -> Result<T, String> {
    let text = read_str(input)?;
    let found = all.iter().copied().find(|one| name(*one) == text);
    found.ok_or_else(|| format!("`{}`, which is not known here", shown(text)))
}

fn read_headers(input: &mut &[u8]) -> Result<BTreeMap<String, String>, String> {
    let count = decode::read_map_len(input).map_err(|_| "not a map".to_owned())?;
    let mut headers = BTreeMap::new();
    for _ in 0..count {
        let name = read_str(input)?.to_owned();
        headers.insert(name, read_str(input)?.to_owned());
    }
    Ok(headers)
}

fn read_backoff(input: &mut &[u8]) -> Result<Backoff, String> {
    let mut backoff = Backoff::DEFAULT;
    let wait = |input: &mut &[u8]| read_uint(input).map(Duration::from_millis);
    let count = decode::read_map_len(input).map_err(|_| "not a map".to_owned())?;
    for _ in 0..count {
        match read_str(input)? {
            "first_ms" => backoff.first = wait(input)?,
            "factor" => backoff.factor = read_f64(input)?,
            "max_ms" => backoff.max = wait(input)?,
            "jitter" => backoff.jitter = read_f64(input)?,
            "list_ms" => {
                let len = decode::read_array_len(input).map_err(|_| "without its list".to_owned())?;
                let list: Vec<_> = (0..len).map(|_| wait(input)).collect::<Result<_, _>>()?;
                backoff = Backoff { list: Some(list.into()), first: Duration::ZERO, factor: 1.0, ..backoff };
            }
            other => return Err(format!("with `{}`, which is not known here", shown(other))),
        }
    }
    Ok(backoff)
}

/// A float, or a whole number where another language wrote `2` for `2.0`.
fn read_f64(input: &mut &[u8]) -> Result<f64, String> {
    let bad = |_| "not a number".to_owned();
    match input.first().map(|byte| Marker::from_u8(*byte)) {
        Some(Marker::F64) => decode::read_f64(input).map_err(|_| "cut off".to_owned()),
        Some(Marker::F32) => decode::read_f32(input).map(f64::from).map_err(|_| "cut off".to_owned()),
        _ => read_uint(input).map(|value| value as f64).map_err(bad),
    }
}

/// Passes over one value of any kind.
fn skip(input: &mut &[u8], depth: u32) -> Result<(), String> {
    use Marker::{
        Array16, Array32, Bin8, Bin16, Bin32, Ext8, Ext16, Ext32, F32, F64, False, FixArray, FixExt1,
        FixExt2, FixExt4, FixExt8, FixExt16, FixMap, FixNeg, FixPos, FixStr, I8, I16, I32, I64, Map16, Map32,
        Null, Reserved, Str8, Str16, Str32, True, U8, U16, U32, U64,
    };
    let deeper = depth.checked_sub(1).ok_or("nested too deeply")?;
    let marker = Marker::from_u8(take(input, 1)?[0]);
    let (bytes, values) = match marker {
        Null | True | False | FixPos(_) | FixNeg(_) => (0, 0),
        U8 | I8 => (1, 0),
        U16 | I16 | FixExt1 => (2, 0),
        FixExt2 => (3, 0),
        U32 | I32 | F32 => (4, 0),
        FixExt4 => (5, 0),
        U64 | I64 | F64 => (8, 0),
        FixExt8 => (9, 0),
        FixExt16 => (17, 0),
        FixStr(len) => (len.into(), 0),
        Str8 | Bin8 => (length(input, 1)?, 0),
        Str16 | Bin16 => (length(input, 2)?, 0),
        Str32 | Bin32 => (length(input, 4)?, 0),
        Ext8 => (length(input, 1)? + 1, 0),
        Ext16 => (length(input, 2)? + 1, 0),
        Ext32 => (length(input, 4)? + 1, 0),
        FixArray(len) => (0, len.into()),
        FixMap(len) => (0, usize::from(len) * 2),
        Array16 => (0, length(input, 2)?),
        Array32 => (0, length(input, 4)?),
        Map16 => (0, length(input, 2)? * 2),
        Map32 => (0, length(input, 4)? * 2),
        Reserved => return Err("no MessagePack".into()),
    };
    take(input, bytes)?;
    (0..values).try_for_each(|_| skip(input, deeper))
}

/// A big-endian length of `width` bytes.
fn length(input: &mut &[u8], width: usize) -> Result<usize, String> {
    let bytes = take(input, width)?;
    Ok(bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}
