//! How connections are made, and what they are told when they are new.

use std::str::FromStr;

use sqlx::{ConnectOptions, MySqlConnection, mysql::MySqlConnectOptions};
use stream_core::Result;

use crate::{open, pool::Greeted};

const GREETING: &str = include_str!("sql/greeting.sql");

/// What an address says, and what is set for all.
pub(super) fn options(url: &str) -> Result<MySqlConnectOptions> {
    let options = MySqlConnectOptions::from_str(url)
        .map_err(|_| open::wrong_address("this is no address of MySQL".into()))?;
    // What is sent is the same few statements, millions of times.
    Ok(options.disable_statement_logging())
}

/// For connections of our own; those of a pool of the program keep its settings.
pub(super) fn greet(connection: &mut MySqlConnection) -> Greeted<'_> {
    Box::pin(async move {
        sqlx::raw_sql(GREETING).execute(connection).await?;
        Ok(())
    })
}
