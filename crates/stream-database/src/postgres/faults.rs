//! What the errors of PostgreSQL say of a call's effect.

use sqlx::error::DatabaseError;

use crate::fault::{Failure, Fault, Moment};

pub(super) fn connecting(error: sqlx::Error) -> Failure {
    Failure::of(error, Moment::Connecting, judge)
}

pub(super) fn running(error: sqlx::Error) -> Failure {
    Failure::of(error, Moment::Running, judge)
}

/// By the SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
///
/// An error that the server reports has undone the statement, unless it ended the session: that may happen
/// after the commit and before its answer.
fn judge(said: &dyn DatabaseError) -> Fault {
    let code = said.code().unwrap_or_default();
    match &*code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Fault::Conflict,
        // cannot_connect_now, query_canceled, read_only_sql_transaction
        "57P03" | "57014" | "25006" => Fault::Away,
        // database_dropped
        "57P04" => Fault::Config,
        _ => match code.get(..2).unwrap_or_default() {
            // insufficient resources, system error, idle transactions that were ended
            "53" | "58" | "25" => Fault::Away,
            // connection exceptions, operator intervention
            "08" | "57" => Fault::InDoubt,
            // invalid password, no such database or schema, missing table or permission
            "28" | "3D" | "3F" | "42" => Fault::Config,
            // data exception, constraint, program limit, raised by a trigger
            "22" | "23" | "54" | "P0" => Fault::Refused,
            _ => Fault::Unexpected,
        },
    }
}
