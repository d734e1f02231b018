//! Several statements that are sent together as text, in one round trip.
//!
//! The protocol prepares one statement at a time, and each is a round trip: four for what must be found,
//! changed and committed. As text they go at once. What is put into the text is written so that nothing
//! in it can be read as anything else: numbers, hexadecimal digits, names of queues.

use std::{fmt::Write as _, sync::Arc};

use sqlx::{AssertSqlSafe, MySqlConnection, mysql::MySqlRow};

use super::{faults::running, list::List};
use crate::fault::{Failure, Fault, Outcome};

/// Statements from one file, with slots such as `:queue` for what changes from call to call.
#[derive(Debug)]
pub(super) struct Script(Vec<Part>);

#[derive(Debug)]
enum Part {
    Sql(String),
    Slot(String),
}

/// What is put into a slot.
#[derive(Debug, Clone, Copy)]
pub(super) enum Literal<'a> {
    Number(i64),
    /// The name of a queue: of `A-Z a-z 0-9 _ -`.
    Name(&'a str),
    Bytes(&'a [u8]),
    Rows(&'a List),
}

impl From<Arc<str>> for Script {
    fn from(sql: Arc<str>) -> Self {
        let mut parts = Vec::new();
        // No statement of ours has a colon that does not begin a slot.
        let mut pieces = sql.split(':');
        parts.extend(pieces.next().map(|first| Part::Sql(first.to_owned())));
        for piece in pieces {
            let end = piece.find(|letter: char| !letter.is_ascii_lowercase()).unwrap_or(piece.len());
            parts.push(Part::Slot(piece[..end].to_owned()));
            parts.push(Part::Sql(piece[end..].to_owned()));
        }
        Self(parts)
    }
}

impl Script {
    /// The statements with their slots filled.
    pub(super) fn filled(&self, slots: &[(&str, Literal<'_>)]) -> Filled {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Sql(sql) => text.push_str(sql),
                Part::Slot(name) => {
                    let value = slots.iter().find(|(slot, _)| slot == name);
                    value.expect("a script is given what its file asks for").1.write(&mut text);
                }
            }
        }
        Filled(text)
    }
}

/// A script that can be sent.
pub(super) struct Filled(String);

impl Filled {
    /// Sends it as a transaction of its own; the rows that it returned.
    ///
    /// A process that dies, a lost connection or a dropped future leave all of it done or nothing: the
    /// server has the whole text before it begins.
    pub(super) async fn alone(
        self,
        connection: &mut MySqlConnection,
        begin: &'static str,
    ) -> Outcome<Vec<MySqlRow>> {
        let text = format!("{begin};\n{};\nCOMMIT", self.0);
        match sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(&mut *connection).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(undone(connection, running(error)).await),
        }
    }

    /// Sends it inside a transaction that has begun.
    pub(super) async fn within(self, connection: &mut MySqlConnection) -> Outcome<Vec<MySqlRow>> {
        sqlx::raw_sql(AssertSqlSafe(self.0)).fetch_all(connection).await.map_err(running)
    }
}

/// Undoes what was begun before the statement that failed: its failure alone does not.
pub(super) async fn undone(connection: &mut MySqlConnection, failure: Failure) -> Failure {
    match sqlx::raw_sql("ROLLBACK").execute(connection).await {
        Ok(_) => failure,
        // With the connection the transaction is gone as well, and the pool closes it.
        Err(_) if failure.fault == Fault::InDoubt => failure,
        Err(_) => Failure { fault: Fault::Away, ..failure },
    }
}

impl Literal<'_> {
    fn write(self, text: &mut String) {
        match self {
            Self::Number(number) => write!(text, "{number}").expect("a string takes all"),
            Self::Name(name) => {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
                assert!(name.bytes().all(is_plain), "the name of a queue is checked when it is made");
                text.extend(["'", name, "'"]);
            }
            Self::Bytes(bytes) => {
                text.push_str("x'");
                push_hexadecimal(text, bytes);
                text.push('\'');
            }
            Self::Rows(rows) => text.extend(["'", rows.as_str(), "'"]),
        }
    }
}

/// Two digits for each byte.
pub(super) fn push_hexadecimal(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    text.reserve(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests;
