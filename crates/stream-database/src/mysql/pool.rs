//! Connections: how they are opened, borrowed and closed.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, MySql as My, MySqlPool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    pool::PoolConnection,
};
use stream_core::Result;
use tokio::time::timeout;

use super::{MySql, faults, session::Server};
use crate::{DatabaseConfig, fault::Outcome, open};

/// A connection that lay idle for longer is asked whether it still works, which costs a round trip.
const TRUSTED: Duration = Duration::from_secs(1);
/// How long a close waits for calls that are on their way.
const CLOSING: Duration = Duration::from_secs(5);
/// What a connection of ours is told when it is opened.
const SESSION: &str = include_str!("sql/session.sql");

/// A pool of our own, empty.
pub(super) fn at(url: &str, config: &DatabaseConfig, server: &Server) -> Result<MySqlPool> {
    let options = MySqlConnectOptions::from_str(url)
        .map_err(|_| open::wrong_address("this is no address of MySQL".into()))?;
    let server = server.clone();
    let pool = MySqlPoolOptions::new()
        .max_connections(config.pool_size)
        .acquire_timeout(config.connect_timeout)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            server.forget();
            Box::pin(async move {
                sqlx::raw_sql(SESSION).execute(connection).await?;
                Ok(())
            })
        })
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
pub(super) async fn close(pool: &MySqlPool) {
    let _: Result<(), _> = timeout(CLOSING, pool.close()).await;
}

impl MySql {
    /// Borrows a connection; its failure says that nothing was sent.
    pub(super) async fn connection(&self) -> Outcome<PoolConnection<My>> {
        let mut connection = self.pool.acquire().await.map_err(faults::connecting)?;
        self.server.ensure(&mut connection, &self.sql).await?;
        Ok(connection)
    }
}
