//! Which dialect an address or a pool is of.

use std::{fmt, sync::Arc};

use stream_core::{Error, ErrorKind, Result};

use crate::{DatabaseConfig, dialect::Dialect, error::DRIVER};

/// What the addresses of databases begin with.
const KNOWN: [&str; 5] = ["postgres", "postgresql", "mysql", "mariadb", "sqlite"];

/// A pool that the program has already: made by `From`, of the pools of sqlx.
pub struct DatabasePool(Pool);

enum Pool {
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool),
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
}

#[cfg(feature = "postgres")]
impl From<sqlx::PgPool> for DatabasePool {
    fn from(pool: sqlx::PgPool) -> Self {
        Self(Pool::Postgres(pool))
    }
}

#[cfg(feature = "mysql")]
impl From<sqlx::MySqlPool> for DatabasePool {
    fn from(pool: sqlx::MySqlPool) -> Self {
        Self(Pool::MySql(pool))
    }
}

#[cfg(feature = "sqlite")]
impl From<sqlx::SqlitePool> for DatabasePool {
    fn from(pool: sqlx::SqlitePool) -> Self {
        Self(Pool::Sqlite(pool))
    }
}

impl fmt::Debug for DatabasePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A pool shows its options, and they its password.
        f.write_str("DatabasePool(..)")
    }
}

/// The dialect of an address; it connects when it is first used.
pub(crate) async fn address(url: &str, config: &DatabaseConfig) -> Result<Arc<dyn Dialect>> {
    let names = config.checked()?;
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Arc::new(crate::postgres::Postgres::connect(url, &names, config)?)),
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => Ok(Arc::new(crate::mysql::MySql::connect(url, &names, config)?)),
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(crate::sqlite::Sqlite::connect(url, &names, config)?)),
        // Each name that comes here is of a database which this build leaves out.
        name if KNOWN.contains(&name) => {
            Err(wrong_address(format!("build stream-database with its feature for `{name}:` addresses")))
        }
        _ => Err(wrong_address("an address begins with postgres://, mysql:// or sqlite:".into())),
    }
}

/// The dialect of a pool.
pub(crate) fn pool(pool: DatabasePool, config: &DatabaseConfig) -> Result<Arc<dyn Dialect>> {
    let names = config.checked()?;
    match pool.0 {
        #[cfg(feature = "postgres")]
        Pool::Postgres(pool) => Ok(Arc::new(crate::postgres::Postgres::of(pool, &names, config))),
        #[cfg(feature = "mysql")]
        Pool::MySql(pool) => Ok(Arc::new(crate::mysql::MySql::of(pool, &names, config))),
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(pool) => Ok(Arc::new(crate::sqlite::Sqlite::of(pool, &names, config)?)),
    }
}

pub(crate) fn wrong_address(detail: String) -> Error {
    Error::new(ErrorKind::Config, DRIVER, "connect").explained(detail)
}
