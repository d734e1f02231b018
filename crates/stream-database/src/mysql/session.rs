//! Whose connections they are, and what is known of their server.

use std::sync::{Arc, Mutex};

use sqlx::{MySqlConnection, Row as _};

use super::{
    faults::{connecting, running},
    statements::Statements,
};
use crate::{
    fault::{Failure, Fault, Outcome},
    locked::locked,
};

/// Whose connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// Ours, set up when they were opened.
    Ours,
    /// Of the program, with settings that are its own business.
    Theirs,
}

/// What a transaction sees of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sees {
    /// What they have committed.
    Committed,
    /// Also what they are about to commit, where that is only a hint: what they take is not looked at.
    All,
}

impl Session {
    /// How a transaction begins.
    pub(super) fn begin(self, sees: Sees) -> &'static str {
        // For the next transaction alone: <https://dev.mysql.com/doc/refman/en/set-transaction.html>.
        match (self, sees) {
            (_, Sees::All) => "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; START TRANSACTION",
            (Self::Ours, Sees::Committed) => "START TRANSACTION",
            (Self::Theirs, Sees::Committed) => {
                "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION"
            }
        }
    }
}

/// What a server says of itself, asked once until a connection to it is lost.
#[derive(Debug, Clone, Default)]
pub(super) struct Server(Arc<Mutex<Option<Facts>>>);

/// What is known of a server that can keep jobs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The largest message that it takes.
    pub(super) packet_bytes_max: usize,
}

impl Server {
    /// Another server may answer from now on, or the same with other settings.
    pub(super) fn forget(&self) {
        *locked(&self.0) = None;
    }

    pub(super) fn known(&self) -> Option<Facts> {
        *locked(&self.0)
    }

    /// Asks, unless it is known; refuses a server that cannot keep what is promised.
    pub(super) async fn ensure(&self, connection: &mut MySqlConnection, sql: &Statements) -> Outcome<()> {
        if self.known().is_some() {
            return Ok(());
        }
        let facts = facts(connection, sql).await?;
        *locked(&self.0) = Some(facts);
        Ok(())
    }
}

async fn facts(connection: &mut MySqlConnection, sql: &Statements) -> Outcome<Facts> {
    // Before anything of a call is sent.
    let row = sql.facts.query().fetch_one(connection).await.map_err(connecting)?;
    let version: String = row.try_get("version").map_err(running)?;
    if let Some(lack) = lack(&version) {
        return Err(Failure::new(Fault::Config, format!("the server is {version}: {lack}")));
    }
    if row.try_get::<i64, _>("commits_alone").map_err(running)? == 0 {
        let detail = "autocommit is off in this pool: nothing that is stored would stay; set it to 1";
        return Err(Failure::new(Fault::Config, detail));
    }
    let bytes: i64 = row.try_get("packet_bytes_max").map_err(running)?;
    Ok(Facts { packet_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX) })
}

/// What a version of a server lacks, if anything.
fn lack(version: &str) -> Option<&'static str> {
    // Before MariaDB 11 a replica could see a version that begins with this: MDEV-4088.
    let own = version.strip_prefix("5.5.5-").unwrap_or(version);
    let mut numbers = own.split(|letter: char| !letter.is_ascii_digit()).map_while(|part| part.parse().ok());
    let mut next = || numbers.next().unwrap_or(0_u32);
    let release = (next(), next(), next());
    let name = version.to_ascii_lowercase();
    if name.contains("tidb") {
        return Some("it has no SKIP LOCKED, with which two workers pass by each other's jobs");
    }
    let (is_old, why) = if name.contains("mariadb") {
        // SKIP LOCKED and JSON_TABLE came with 10.6.
        (release < (10, 6, 0), "SKIP LOCKED and JSON_TABLE are needed; take MariaDB 10.6 or newer")
    } else {
        // SKIP LOCKED came with 8.0.1, JSON_TABLE with 8.0.4, expressions as defaults with 8.0.13.
        let why =
            "SKIP LOCKED, JSON_TABLE and expressions as defaults are needed; take MySQL 8.0.13 or newer";
        (release < (8, 0, 13), why)
    };
    is_old.then_some(why)
}

#[cfg(test)]
mod tests;
