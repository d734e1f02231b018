//! Envelopes written by hand, as a producer in another language would write them.

use rmp::encode;

/// One field: its key and the MessagePack of its value.
pub(crate) type Field = (&'static str, Vec<u8>);

/// A map with these fields, in this order.
pub(crate) fn map(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::write_map_len(&mut bytes, fields.len() as u32).expect("memory does not fail");
    for (key, value) in fields {
        encode::write_str(&mut bytes, key).expect("memory does not fail");
        bytes.extend_from_slice(value);
    }
    bytes
}

/// A text.
pub(crate) fn text(value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::write_str(&mut bytes, value).expect("memory does not fail");
    bytes
}

/// A whole number.
pub(crate) fn number(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::write_uint(&mut bytes, value).expect("memory does not fail");
    bytes
}

/// Bytes.
pub(crate) fn binary(value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::write_bin(&mut bytes, value).expect("memory does not fail");
    bytes
}
