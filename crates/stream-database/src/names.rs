//! The names of the tables, checked and quoted, and SQL with the names put in.

use std::sync::Arc;

use stream_core::{Error, ErrorKind, Result};

/// Longest name of a table of ours: PostgreSQL cuts identifiers at 63 bytes.
const NAME_BYTES_MAX: usize = 63;
/// What the longest of the names below adds.
const LONGEST_SUFFIX: &str = "_available_unique";

/// The tables of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    schema: Option<String>,
    table: String,
    quote: Quote,
}

/// What a database puts around names.
#[cfg_attr(not(feature = "mysql"), allow(dead_code))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    /// As the standard has it.
    Double,
    /// As MySQL has it, where double quotes may stand around strings.
    Backtick,
}

impl Quote {
    fn mark(self) -> char {
        match self {
            Self::Double => '"',
            Self::Backtick => '`',
        }
    }
}

impl Names {
    /// Checks the configured names.
    pub(crate) fn new(schema: Option<&str>, prefix: &str, table: &str) -> Result<Self> {
        if let Some(schema) = schema {
            checked("schema", schema, NAME_BYTES_MAX)?;
        }
        let table = format!("{prefix}{table}");
        checked("table name with its prefix", &table, NAME_BYTES_MAX - LONGEST_SUFFIX.len())?;
        Ok(Self { schema: schema.map(str::to_owned), table, quote: Quote::Double })
    }

    /// The same names for a database that quotes in another way.
    #[cfg(feature = "mysql")]
    pub(crate) fn quoted_by(&self, quote: Quote) -> Self {
        Self { quote, ..self.clone() }
    }

    /// The table of jobs with its schema, without quotes: for messages and names of channels and locks.
    pub(crate) fn plain(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.table),
            None => self.table.clone(),
        }
    }

    /// Puts the names into SQL and takes the comments out.
    ///
    /// `{jobs}`, `{dead}`, `{limits}`, `{versions}` and `{done}` are the tables, with their schema. `{name}` is
    /// the bare name of the table of jobs, for the names of indexes: write it inside quotes, such as
    /// `"{name}_fetch"`. `{+reserve}` is the function of that name, with its schema. A comment is a line that begins with `--`.
    pub(crate) fn render(&self, sql: &str) -> Arc<str> {
        let kept: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
        let table = |suffix: &str| self.quoted(suffix);
        let mut sql = kept.join("\n");
        while let Some((before, rest)) = sql.split_once("{+") {
            let Some((name, after)) = rest.split_once('}') else { break };
            sql = format!("{before}{}{after}", table(&format!("_{name}")));
        }
        sql.replace("{jobs}", &table(""))
            .replace("{dead}", &table("_dead"))
            .replace("{limits}", &table("_limits"))
            .replace("{versions}", &table("_versions"))
            .replace("{done}", &table("_done"))
            .replace("{name}", &self.table)
            .trim()
            .into()
    }

    fn quoted(&self, suffix: &str) -> String {
        let mark = self.quote.mark();
        let table = format!("{mark}{}{suffix}{mark}", self.table);
        self.schema.as_ref().map_or(table.clone(), |schema| format!("{mark}{schema}{mark}.{table}"))
    }
}

/// A name that means the same with and without quotes, on every database.
fn checked(what: &str, name: &str, bytes_max: usize) -> Result<()> {
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let is_plain =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if begins_well && is_plain && name.len() <= bytes_max {
        return Ok(());
    }
    let detail = format!(
        "the {what} must have 1 to {bytes_max} of a-z, 0-9 and _, and begin with a letter or _, not `{}`",
        name.escape_debug()
    );
    Err(Error::new(ErrorKind::Config, crate::error::DRIVER, "connect").explained(detail))
}

#[cfg(test)]
mod tests;
