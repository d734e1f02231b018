//! Many items as the parameters of one statement: ids in a row, and a list in JSON beside them.
//!
//! SQLite takes no arrays; `json_each` makes rows of a list, whose places find the bytes in the row of ids.

use std::fmt::Write as _;

use sqlx::{Row as _, sqlite::SqliteRow};
use stream_core::JobId;

use super::faults::running;
use crate::fault::{Failure, Fault, Outcome};

/// The bytes of ids, 16 for each.
pub(super) fn ids(ids: impl Iterator<Item = JobId>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 * ids.size_hint().0);
    ids.for_each(|id| bytes.extend_from_slice(id.as_bytes()));
    bytes
}

/// A list in JSON; each item is written by `write`.
pub(super) fn list<T>(items: impl IntoIterator<Item = T>, write: impl Fn(&mut String, T)) -> String {
    let mut json = String::from("[");
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        write(&mut json, item);
    }
    json.push(']');
    json
}

/// A number.
pub(super) fn number(json: &mut String, number: i64) {
    // Writing to a string does not fail.
    let _ = write!(json, "{number}");
}

/// Bytes in hex, since a text in JSON cannot hold all of them; null for none.
pub(super) fn bytes(json: &mut String, bytes: Option<&[u8]>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let Some(bytes) = bytes else { return json.push_str("null") };
    json.push('"');
    for byte in bytes {
        json.push(char::from(DIGITS[usize::from(byte >> 4)]));
        json.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    json.push('"');
}

/// A text whose characters need no escape: names of queues are such.
pub(super) fn name(json: &mut String, name: &str) {
    json.push('"');
    json.push_str(name);
    json.push('"');
}

/// The id in the first column of each row.
pub(super) fn job_ids(rows: &[SqliteRow]) -> Outcome<Vec<JobId>> {
    rows.iter().map(|row| job_id(row.try_get(0).map_err(running)?)).collect()
}

pub(super) fn job_id(bytes: &[u8]) -> Outcome<JobId> {
    let wrong = |_| Failure::new(Fault::Unexpected, "a row has an id that is not 16 bytes long");
    Ok(JobId::from_bytes(bytes.try_into().map_err(wrong)?))
}
