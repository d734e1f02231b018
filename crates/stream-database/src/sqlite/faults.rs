//! What the errors of SQLite say of a call's effect.

use sqlx::error::DatabaseError;

use crate::fault::{Failure, Fault, Moment};

pub(super) fn connecting(error: sqlx::Error) -> Failure {
    explained(error, Moment::Connecting)
}

pub(super) fn running(error: sqlx::Error) -> Failure {
    explained(error, Moment::Running)
}

/// The same failure for each of those whom it concerns.
pub(super) fn again(failure: &Failure) -> Failure {
    let said = failure.source.as_ref().map(ToString::to_string);
    let detail = failure.detail.clone().or(said).unwrap_or_default();
    Failure::new(failure.fault, detail)
}

/// What a file is that can only be read.
pub(super) const READ_ONLY: &str = "the file is read only for this process: give it permission to write";

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// The low byte of an extended code: <https://www.sqlite.org/rescode.html>.
fn primary(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error().and_then(code)
}

fn code(said: &dyn DatabaseError) -> Option<i32> {
    Some(said.code()?.parse::<i32>().ok()? & 0xff)
}

fn explained(error: sqlx::Error, moment: Moment) -> Failure {
    let detail = match primary(&error) {
        Some(BUSY | LOCKED) => "another process holds the lock of the file",
        Some(READONLY) => READ_ONLY,
        Some(IOERR) => "the disk of the file does not work as it should",
        Some(FULL) => "the disk is full, or the file has as many pages as it may",
        Some(CANTOPEN) => "the file cannot be opened: its directory must be there and be writable",
        Some(NOTADB) => "the file is no database of SQLite: name another one",
        _ => return Failure::of(error, moment, judge),
    };
    let mut failure = Failure::of(error, moment, judge);
    failure.detail = Some(detail.to_owned());
    failure
}

fn judge(said: &dyn DatabaseError) -> Fault {
    match code(said) {
        // Also SCHEMA: another process has changed the tables meanwhile.
        Some(BUSY | LOCKED | 17) => Fault::Conflict,
        // What a commit could not take to the disk may be found there all the same.
        Some(IOERR) => Fault::InDoubt,
        // Also NOMEM and INTERRUPT.
        Some(READONLY | FULL | CANTOPEN | 7 | 9) => Fault::Away,
        // Also PERM and AUTH.
        Some(NOTADB | 3 | 23) => Fault::Config,
        // TOOBIG, CONSTRAINT (triggers of users among it), MISMATCH
        Some(18..=20) => Fault::Refused,
        // A plain ERROR has no other sign of what is missing.
        Some(1) if said.message().starts_with("no such") => Fault::Config,
        _ => Fault::Unexpected,
    }
}
