//! The statements, read from their files, with the configured names in them.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Sqlite, query::Query, sqlite::SqliteArguments};

use super::change::Durability;
use crate::names::Names;

/// A statement that is prepared once on each connection.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    plain: Arc<str>,
    /// With what sets the durability of its commit before it, since each errand to the thread of a connection
    /// costs about as much as a small statement.
    written: Arc<str>,
    synced: Arc<str>,
}

impl Statement {
    fn new(sql: Arc<str>) -> Self {
        let after = |pragma: &str| format!("{pragma};\n{sql}").into();
        Self {
            written: after(Durability::Written.pragma()),
            synced: after(Durability::Synced.pragma()),
            plain: sql,
        }
    }

    pub(super) fn query(&self) -> Query<'static, Sqlite, SqliteArguments> {
        query(&self.plain)
    }

    /// Sets what its commit outlives, if that is to be set.
    pub(super) fn query_setting(
        &self,
        setting: Option<Durability>,
    ) -> Query<'static, Sqlite, SqliteArguments> {
        match setting {
            None => self.query(),
            Some(Durability::Written) => query(&self.written),
            Some(Durability::Synced) => query(&self.synced),
        }
    }
}

fn query(sql: &Arc<str>) -> Query<'static, Sqlite, SqliteArguments> {
    // Nothing is in it but a file of ours and names of `a-z`, `0-9` and `_`.
    sqlx::query(AssertSqlSafe(Arc::clone(sql)))
}

/// Declares one field for each statement, read from the file of the same name.
macro_rules! statements {
    ($($name:ident)*) => {
        /// One for each file in `sql`, by its name.
        #[derive(Debug)]
        pub(super) struct Statements {
            $(pub(super) $name: Statement,)*
        }

        impl Statements {
            pub(super) fn of(names: &Names) -> Self {
                let render = |sql| Statement::new(names.render(sql));
                Self { $($name: render(include_str!(concat!("sql/", stringify!($name), ".sql"))),)* }
            }
        }
    };
}

statements! {
    insert find reserve probe finish put_back extend depth clear
    read_limit write_limit
    write_letters letters last_burial look_at_letters revive remove_revived remove count_letters
    finish_in note_ticket forget_tickets have_committed
    make_versions version note_version try_write
}
