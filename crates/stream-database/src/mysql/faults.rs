//! What the errors of MySQL and MariaDB say of a call's effect.

use sqlx::{error::DatabaseError, mysql::MySqlDatabaseError};

use crate::fault::{Failure, Fault, Moment};

/// A row with the same id or unique key is there: `ER_DUP_ENTRY`, `ER_DUP_ENTRY_WITH_KEY_NAME`.
const DUPLICATES: [u16; 2] = [1062, 1586];
/// `ER_NO_SUCH_TABLE`.
const NO_TABLE: u16 = 1146;
/// Their texts quote what was to be stored: duplicates, wrong values, wrong strings, wrong dates.
const QUOTING: [u16; 8] = [1062, 1292, 1366, 1367, 1411, 1525, 1586, 3854];

pub(super) fn connecting(error: sqlx::Error) -> Failure {
    failure(error, Moment::Connecting)
}

pub(super) fn running(error: sqlx::Error) -> Failure {
    failure(error, Moment::Running)
}

pub(super) fn is_duplicate(error: &sqlx::Error) -> bool {
    number(error).is_some_and(|number| DUPLICATES.contains(&number))
}

pub(super) fn is_missing_table(error: &sqlx::Error) -> bool {
    number(error) == Some(NO_TABLE)
}

/// `ER_TABLEACCESS_DENIED_ERROR`, `ER_COLUMNACCESS_DENIED_ERROR`.
pub(super) fn is_forbidden(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1142 | 1143))
}

fn failure(error: sqlx::Error, moment: Moment) -> Failure {
    let quoting = number(&error).filter(|number| QUOTING.contains(number));
    let mut failure = Failure::of(error, moment, judge);
    if let Some(number) = quoting {
        failure.source = None;
        failure.detail = Some(format!("the server refuses a value (error {number})"));
    }
    failure
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let said = error.as_database_error()?;
    Some(said.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

/// By the number: <https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html> and
/// <https://mariadb.com/docs/server/reference/error-codes>.
///
/// An error that the server reports has undone the statement, unless it ended the session: that may happen
/// after the commit and before its answer.
fn judge(said: &dyn DatabaseError) -> Fault {
    let number = said.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
    match number {
        // Record changed since it was read (MariaDB), lock wait timeout, deadlock, lock not available, and a
        // duplicate: somebody else stored it a moment ago.
        1020 | 1205 | 1213 | 3572 | 1062 | 1586 => Fault::Conflict,
        // Disk full, errors of files and of the engine, out of memory, too many connections, table full,
        // limits of the user, read only, query killed or too slow, a node of a cluster that is not ready.
        1021 | 1026 | 1030 | 1037 | 1038 | 1040 | 1041 | 1114 | 1180 | 1203 | 1226 | 1290 | 1317 | 1792
        | 1836 | 1969 | 3024 | 1047 => Fault::Away,
        // The server stops, the session was ended, its messages were lost.
        1053 | 1152 | 1158 | 1159 | 1160 | 1161 | 1184 | 1927 | 3169 | 4031 => Fault::InDoubt,
        // No access, no database, host not allowed, unknown column, syntax, no table, no such function or
        // plugin, password expired, account locked, old authentication.
        1044 | 1045 | 1046 | 1049 | 1054 | 1064 | 1130 | 1142 | 1143 | NO_TABLE | 1227 | 1251 | 1305
        | 1370 | 1524 | 1698 | 1820 | 1862 | 3118 | 3159 | 4151 => Fault::Config,
        // A message that is too large for the server.
        1153 => Fault::Refused,
        // MariaDB's constraint, which is another error on MySQL.
        4025 if said.code().is_some_and(|code| code == "23000") => Fault::Refused,
        _ => match said.code().as_deref().and_then(|code| code.get(..2)) {
            // Data exception, constraint, raised by a trigger.
            Some("22" | "23" | "45" | "21") => Fault::Refused,
            Some("28") => Fault::Config,
            Some("08") => Fault::InDoubt,
            _ => general(number),
        },
    }
}

/// Errors of what a row holds that have the general state `HY000`.
fn general(number: u16) -> Fault {
    match number {
        // No value for a column, wrong value, wrong string, trigger's signal, check (MySQL).
        1364 | 1366 | 1411 | 1525 | 1643 | 1644 | 3819 | 3854 => Fault::Refused,
        _ => Fault::Unexpected,
    }
}
