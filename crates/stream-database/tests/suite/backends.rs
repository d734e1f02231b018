//! How the tests reach each database.

#[cfg(feature = "postgres")]
pub(crate) mod postgres;

#[cfg(feature = "mysql")]
pub(crate) mod mysql;

#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
