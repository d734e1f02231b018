//! How connections are made.

use std::str::FromStr;

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use stream_core::Result;

use crate::open;

/// What an address says, and what is set for all.
pub(super) fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| open::wrong_address("this is no address of PostgreSQL".into()))?;
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("stream"),
    };
    // What is sent is the same few statements, millions of times.
    Ok(options.disable_statement_logging())
}
