//! The bytes of an envelope: golden files that may never change, and properties of all the others.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use stream_core::{Backoff, Codec, Envelope, JobId, LONGEST, Priority, Undecodable};

const ID: [u8; 16] =
    [1, 0x92, 0xb7, 0xa2, 0xc3, 0xd4, 0x7e, 0x5f, 0x8a, 0x9b, 0x0c, 0x1d, 0x2e, 0x3f, 0x4a, 0x5b];
const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn a_minimal_envelope_is_written_and_read_as_the_golden_file() {
    assert_golden("minimal", &minimal());
}

#[test]
fn a_full_envelope_is_written_and_read_as_the_golden_file() {
    let mut envelope = minimal();
    envelope.payload = br#"{"width":640}"#.to_vec();
    envelope.codec = Codec::Json;
    envelope.priority = Priority::High;
    envelope.max_attempts = 300;
    envelope.backoff = Backoff::exponential(MS(5_000), 2.0).up_to(MS(7_200_000)).jitter(0.25);
    envelope.timeout = Some(MS(90_000));
    envelope.group = Some("käse".into());
    envelope.unique_key = Some("cat.png".into());
    envelope.headers.insert("tenant".into(), "7".into());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    envelope.headers.insert("traceparent".into(), trace.into());
    envelope.pushed_at = Some(SystemTime::UNIX_EPOCH + MS(1_729_591_234_567));
    assert_golden("full", &envelope);
}

#[test]
fn a_list_of_waits_is_written_and_read_as_the_golden_file() {
    let mut envelope = minimal();
    envelope.backoff = Backoff::list([1_000, 5_000, 30_000].map(MS)).up_to(MS(60_000)).jitter(0.0);
    assert_golden("backoff_list", &envelope);
}

#[test]
fn unknown_fields_are_written_again_untouched() {
    let bytes = golden("unknown_fields");
    let mut envelope = Envelope::from_bytes(bytes.clone()).expect("an envelope");
    assert_eq!(envelope.to_bytes(), bytes);
    assert_ne!(envelope, minimal(), "the unknown fields are part of the envelope");
    envelope.max_attempts = 3;
    let again = Envelope::from_bytes(envelope.to_bytes()).expect("an envelope");
    assert_eq!(again, envelope, "they survive a change of the others");
}

#[test]
fn fields_may_come_in_any_order_and_width() {
    let envelope = Envelope::from_bytes(golden("other_order")).expect("an envelope");
    let again = Envelope::from_bytes(envelope.to_bytes()).expect("an envelope");
    assert_eq!(again, envelope);
    let mut expected = minimal();
    expected.backoff = Backoff::exponential(MS(250), 1.5).up_to(MS(60_000)).jitter(0.0);
    expected.timeout = Some(MS(1));
    expected.pushed_at = Some(SystemTime::UNIX_EPOCH + MS(1_729_591_234_567));
    // The unknown `colour` stands behind the known fields.
    let colour = b"\xa6colour\xa4blue";
    let mut bytes = expected.to_bytes();
    bytes[2] += 1;
    assert_eq!(envelope.to_bytes(), [&bytes[..], colour].concat());
}

#[test]
fn a_newer_version_is_undecodable_and_its_id_is_known() {
    let bytes = golden("newer_version");
    let undecodable = Envelope::from_bytes(bytes.clone()).expect_err("a newer version");
    assert_eq!((undecodable.bytes, undecodable.id), (bytes, Some(JobId::from_bytes(ID))));
    assert!(undecodable.reason.contains("version 2"), "{}", undecodable.reason);
}

#[test]
fn an_envelope_cut_off_anywhere_is_undecodable_and_keeps_its_bytes() {
    for name in ["minimal", "full", "backoff_list", "unknown_fields", "other_order", "newer_version"] {
        let whole = golden(name);
        for length in 0..whole.len() {
            let cut = whole[..length].to_vec();
            let undecodable = Envelope::from_bytes(cut.clone()).expect_err("cut off");
            assert_eq!(undecodable.bytes, cut);
            assert!(undecodable.id.is_none_or(|id| id == JobId::from_bytes(ID)));
            assert!(!undecodable.reason.is_empty());
        }
    }
}

#[test]
fn the_id_is_known_once_it_was_read() {
    let full = golden("full");
    let behind_the_id = full.windows(16).position(|window| window == ID).expect("the id is there") + 16;
    for length in behind_the_id..full.len() {
        let undecodable = undecodable(&full[..length]);
        assert_eq!(undecodable.id, Some(JobId::from_bytes(ID)), "cut to {length} bytes");
    }
}

#[test]
fn a_byte_too_many_is_undecodable() {
    let longer = [golden("minimal"), vec![0]].concat();
    assert!(undecodable(&longer).reason.contains("too long"));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let v = ("v", vec![1]);
    let id = ("id", [&[0xc4, 16][..], &ID].concat());
    let name = ("name", b"\xa6resize".to_vec());
    let payload = ("payload", vec![0xc4, 0]);
    let all = [v.clone(), id.clone(), name.clone(), payload.clone()];
    Envelope::from_bytes(map(&all)).expect("an envelope");
    for (fields, reason) in [
        (vec![id.clone(), name.clone(), payload.clone()], "`v` is missing"),
        (vec![v.clone(), name.clone(), payload.clone()], "`id` is missing"),
        (vec![v.clone(), id.clone(), payload.clone()], "the name"),
        (vec![v.clone(), id.clone(), name.clone()], "`payload` is missing"),
    ] {
        assert_reason(&map(&fields), reason);
    }
    let one_more = |key, value: &[u8], reason| {
        let fields = [&all[..], &[(key, value.to_vec())]].concat();
        assert_reason(&map(&fields), reason);
    };
    one_more("id", &[0xc4, 1, 0], "field `id`");
    one_more("v", b"\xa11", "field `v`");
    one_more("priority", b"\xa6urgent", "field `priority`");
    one_more("codec", b"\xa4yaml", "field `codec`");
    one_more("max_attempts", &[0], "max_attempts");
    one_more("max_attempts", &[0xff], "field `max_attempts`");
    one_more("max_attempts", &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0], "field `max_attempts`");
    one_more("timeout_ms", &[0], "timeout");
    one_more("timeout_ms", &[0xcf; 9], "timeout");
    one_more("group", &[0xa0], "the group");
    one_more("unique_key", &[0xa0], "the unique key");
    one_more("headers", &[0x90], "field `headers`");
    one_more("headers", &[0x81, 0xa1, b'x', 1], "field `headers`");
    one_more("backoff", &[0x81, 0xa5, b'l', b'a', b't', b'e', b'r', 1], "field `backoff`");
    one_more("name", &[0xa2, 0xff, 0xfe], "field `name`");
}

#[test]
fn hostile_bytes_neither_exhaust_the_stack_nor_the_memory() {
    let nested = [&map(&[("deep", vec![])])[..], &vec![0x91; 4 << 20]].concat();
    undecodable(&nested);
    for length_of_4_gib in [0xdd_u8, 0xdf, 0xdb, 0xc6, 0xc9] {
        for key in ["deep", "payload", "name", "headers", "backoff", "group"] {
            let value = vec![length_of_4_gib, 0xff, 0xff, 0xff, 0xff];
            undecodable(&map(&[(key, value)]));
        }
    }
    undecodable(&[0xdf, 0xff, 0xff, 0xff, 0xff]);
    // More fields than the head of the map can count, all of them unknown.
    let many = [&[0xdf, 0, 1, 0x11, 0x70][..], &b"\xa1x\x01".repeat(70_000)].concat();
    undecodable(&many);
}

#[test]
fn the_documentation_shows_the_golden_file() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/envelope.md"));
    let file = fs::read_to_string(path("minimal")).expect("the golden file");
    assert!(page.expect("the page").contains(file.trim()), "docs/envelope.md shows another example");
}

#[test]
fn any_envelope_is_read_as_it_was_written() {
    for seed in 0..SEEDS {
        let envelope = Dice(seed).envelope();
        assert!(envelope.validate().is_ok(), "seed {seed}: {envelope:?}");
        let bytes = envelope.to_bytes();
        assert_eq!(bytes.len(), envelope.encoded_len(), "seed {seed}");
        assert_eq!(Envelope::from_bytes(bytes), Ok(envelope), "seed {seed}");
    }
}

#[test]
fn waits_are_rounded_up_to_the_millisecond() {
    for seed in 0..SEEDS {
        let exact = Duration::from_nanos(Dice(seed).between(1, u32::MAX.into()));
        let mut envelope = minimal();
        envelope.timeout = Some(exact);
        let read = Envelope::from_bytes(envelope.to_bytes()).expect("an envelope");
        let rounded = read.timeout.expect("a timeout");
        assert!(rounded >= exact && rounded < exact + MS(1), "{exact:?} became {rounded:?}");
        assert_eq!(rounded.subsec_nanos() % 1_000_000, 0);
    }
}

#[test]
fn any_bytes_are_an_envelope_or_undecodable() {
    for seed in 0..SEEDS {
        let bytes = Dice(seed).bytes(300);
        if let Err(undecodable) = Envelope::from_bytes(bytes.clone()) {
            assert_eq!(undecodable.bytes, bytes, "seed {seed}");
        }
    }
}

#[test]
fn an_envelope_with_changed_bytes_is_read_or_undecodable() {
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let mut bytes = dice.envelope().to_bytes();
        for _ in 0..dice.between(1, 3) {
            let place = dice.between(0, bytes.len() as u64 - 1) as usize;
            bytes[place] = dice.next() as u8;
        }
        match Envelope::from_bytes(bytes.clone()) {
            Ok(read) => assert_eq!(Envelope::from_bytes(read.to_bytes()), Ok(read), "seed {seed}"),
            Err(undecodable) => assert_eq!(undecodable.bytes, bytes, "seed {seed}"),
        }
    }
}

fn minimal() -> Envelope {
    let payload = b"\x81\xa5width\xcd\x02\x80".to_vec();
    let mut envelope = Envelope::new("resize", Codec::MessagePack, payload);
    envelope.id = JobId::from_bytes(ID);
    envelope.pushed_at = None;
    envelope
}

/// How many seeds each property is tried with.
const SEEDS: u64 = 1_000;

/// SplitMix64: the same seed gives the same envelope.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, one of the two more often than chance would have it.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        match self.next() % 16 {
            0 => low,
            1 => high,
            _ => low + self.next() % (high - low + 1),
        }
    }

    fn part(&mut self) -> f64 {
        self.between(0, 1 << 20) as f64 / f64::from(1 << 20)
    }

    fn is_heads(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    fn bytes(&mut self, max: u64) -> Vec<u8> {
        (0..self.between(0, max)).map(|_| self.next() as u8).collect()
    }

    /// Characters of one to four bytes.
    fn text(&mut self, min: u64, max: u64) -> String {
        (0..self.between(min, max)).map(|_| self.character()).collect()
    }

    fn character(&mut self) -> char {
        let last = [0x7f, 0x7ff, 0xffff, 0x10_ffff][self.between(0, 3) as usize];
        char::from_u32(self.between(0, last) as u32).unwrap_or('\u{fffd}')
    }

    fn envelope(&mut self) -> Envelope {
        let codec = [Codec::MessagePack, Codec::Json, Codec::Raw][self.between(0, 2) as usize];
        let mut envelope = Envelope::new(self.text(1, 60), codec, self.bytes(200));
        envelope.id = JobId::from_bytes([(); 16].map(|()| self.next() as u8));
        envelope.priority = Priority::ALL[self.between(0, 3) as usize];
        envelope.max_attempts = self.between(1, u32::MAX.into()) as u32;
        envelope.backoff = self.backoff();
        envelope.timeout = self.is_heads().then(|| MS(self.between(1, LONGEST.as_millis() as u64)));
        envelope.group = self.is_heads().then(|| self.text(1, 30));
        envelope.unique_key = self.is_heads().then(|| self.text(1, 60));
        envelope.headers = (0..self.between(0, 5)).map(|_| (self.text(0, 20), self.text(0, 40))).collect();
        let pushed_at = self.is_heads().then(|| self.between(0, u64::from(u32::MAX) * 4_000));
        envelope.pushed_at = pushed_at.map(|ms| SystemTime::UNIX_EPOCH + MS(ms));
        envelope
    }

    fn backoff(&mut self) -> Backoff {
        let longest = LONGEST.as_millis() as u64;
        match self.between(0, 2) {
            0 => Backoff::DEFAULT,
            1 => {
                let waits: Vec<_> = (0..self.between(1, 64)).map(|_| MS(self.between(0, longest))).collect();
                Backoff::list(waits).jitter(self.part())
            }
            _ => {
                let (one, other) = (self.between(0, longest), self.between(0, longest));
                let factor = 1.0 + self.part() * 999_999.0;
                Backoff::exponential(MS(one.min(other)), factor).up_to(MS(one.max(other))).jitter(self.part())
            }
        }
    }
}

fn assert_golden(name: &str, envelope: &Envelope) {
    assert_eq!(envelope.to_bytes(), golden(name), "{name} is written differently");
    assert_eq!(Envelope::from_bytes(golden(name)).as_ref(), Ok(envelope), "{name} is read differently");
}

fn undecodable(bytes: &[u8]) -> Undecodable {
    Envelope::from_bytes(bytes.to_vec()).expect_err("no envelope")
}

fn assert_reason(bytes: &[u8], part: &str) {
    let reason = undecodable(bytes).reason;
    assert!(reason.contains(part), "{reason:?} does not say {part:?}");
}

/// A MessagePack map of up to 15 fields with short keys.
fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0x80 | fields.len() as u8];
    for (key, value) in fields {
        bytes.push(0xa0 | key.len() as u8);
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.hex"))
}

/// The bytes of a golden file: hexadecimal, with comments behind `#`.
fn golden(name: &str) -> Vec<u8> {
    let text = fs::read_to_string(path(name)).expect("the golden file");
    let digits = text.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    digits.map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits")).collect()
}
