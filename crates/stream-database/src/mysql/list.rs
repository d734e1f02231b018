//! Many rows in one parameter: JSON that `JSON_TABLE` reads, so that one statement serves for any number.

use std::fmt::Write as _;

use super::script::push_hexadecimal;
use crate::row::{Burial, Key, NewRow, PutBack};

/// A JSON array of arrays, of numbers, null and strings of `A-Z a-z 0-9 _ -` only.
#[derive(Debug)]
pub(super) struct List(String);

/// Bytes of all rows one after the other, of which each row names its part.
#[derive(Debug, Default)]
pub(super) struct Joined {
    bytes: Vec<u8>,
}

impl List {
    /// For `insert`, and the payloads that it names parts of.
    pub(super) fn to_insert(rows: &[NewRow<'_>]) -> (Self, Vec<u8>) {
        let mut payloads = Joined::sized(rows.iter().map(|row| row.payload.len()).sum());
        let list = Self::of(rows, |row, cells| {
            let (start, bytes) = payloads.add(row.payload);
            cells.bytes(Some(row.id.as_bytes()));
            cells.number(start);
            cells.number(bytes);
            cells.number(i64::from(row.priority));
            cells.number(crate::dialect::micros(row.delay));
            cells.bytes(row.unique_key);
        });
        (list, payloads.bytes)
    }

    /// Ids and unique keys.
    pub(super) fn to_find<'r>(rows: impl IntoIterator<Item = (&'r [u8], Option<&'r [u8]>)>) -> Self {
        Self::of(rows, |(id, key), cells| {
            cells.bytes(Some(id));
            cells.bytes(key);
        })
    }

    pub(super) fn keys(keys: &[Key]) -> Self {
        Self::of(keys, |key, cells| cells.key(*key))
    }

    /// For `put_back`, and the errors that it names parts of.
    pub(super) fn to_put_back(rows: &[PutBack<'_>]) -> (Self, Vec<u8>) {
        let mut errors = Joined::default();
        let list = Self::of(rows, |row, cells| {
            cells.key(row.key);
            cells.number(crate::dialect::micros(row.after));
            cells.part(row.error.map(|error| errors.add(error)));
        });
        (list, errors.bytes)
    }

    /// For `bury`, and the errors that it names parts of.
    pub(super) fn to_bury(burials: &[Burial<'_>]) -> (Self, Vec<u8>) {
        let mut errors = Joined::default();
        let list = Self::of(burials, |burial, cells| {
            cells.key(burial.key);
            cells.part(Some(errors.add(burial.error)));
        });
        (list, errors.bytes)
    }

    /// Names of queues, which need no escape.
    pub(super) fn names(names: &[&str]) -> Self {
        Self(format!("[\"{}\"]", names.join("\",\"")))
    }

    pub(super) fn numbers(numbers: &[i64]) -> Self {
        let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
        Self(format!("[{}]", numbers.join(",")))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn of<T>(rows: impl IntoIterator<Item = T>, mut write: impl FnMut(T, &mut Cells)) -> Self {
        let mut json = String::from("[");
        for row in rows {
            let mut cells = Cells { json, is_first: true };
            cells.json.push_str(if cells.json.len() > 1 { ",[" } else { "[" });
            write(row, &mut cells);
            json = cells.json;
            json.push(']');
        }
        json.push(']');
        Self(json)
    }
}

/// The values of one row.
struct Cells {
    json: String,
    is_first: bool,
}

impl Cells {
    fn key(&mut self, key: Key) {
        self.bytes(Some(key.id.as_bytes()));
        self.number(key.token);
    }

    fn part(&mut self, part: Option<(i64, i64)>) {
        match part {
            Some((start, bytes)) => {
                self.number(start);
                self.number(bytes);
            }
            None => {
                self.bytes(None);
                self.bytes(None);
            }
        }
    }

    fn number(&mut self, number: i64) {
        self.next();
        write!(self.json, "{number}").expect("a string takes all");
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        self.next();
        match bytes {
            Some(bytes) => {
                self.json.push('"');
                push_hexadecimal(&mut self.json, bytes);
                self.json.push('"');
            }
            None => self.json.push_str("null"),
        }
    }

    fn next(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.json.push(',');
        }
    }
}

impl Joined {
    fn sized(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// The start, counted from 1 as `SUBSTRING` does, and the length.
    fn add(&mut self, part: &[u8]) -> (i64, i64) {
        let count = |number: usize| i64::try_from(number).expect("memory is smaller");
        let start = count(self.bytes.len() + 1);
        self.bytes.extend_from_slice(part);
        (start, count(part.len()))
    }
}
