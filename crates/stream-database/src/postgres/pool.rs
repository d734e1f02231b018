//! Connections: how they are opened, borrowed and closed.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgPool, Postgres as Pg,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use stream_core::Result;
use tokio::time::timeout;

use super::{Postgres, faults};
use crate::{DatabaseConfig, fault::Outcome, open};

/// A connection that lay idle for longer is asked whether it still works, which costs a round trip.
const TRUSTED: Duration = Duration::from_secs(1);
/// How long a close waits for calls that are on their way.
const CLOSING: Duration = Duration::from_secs(5);

/// A pool of our own, empty.
pub(super) fn at(url: &str, config: &DatabaseConfig) -> Result<PgPool> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| open::wrong_address("this is no address of PostgreSQL".into()))?;
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("stream"),
    };
    let pool = PgPoolOptions::new()
        .max_connections(config.pool_size)
        .acquire_timeout(config.connect_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, lain| {
            Box::pin(async move {
                if lain.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        });
    // What is sent is the same few statements, millions of times.
    Ok(pool.connect_lazy_with(options.disable_statement_logging()))
}

/// Closes a pool of our own; calls that do not end are left to their deadlines.
pub(super) async fn close(pool: &PgPool) {
    let _: Result<(), _> = timeout(CLOSING, pool.close()).await;
}

impl Postgres {
    /// Borrows a connection; its failure says that nothing was sent.
    pub(super) async fn connection(&self) -> Outcome<PoolConnection<Pg>> {
        self.pool.acquire().await.map_err(faults::connecting)
    }
}
