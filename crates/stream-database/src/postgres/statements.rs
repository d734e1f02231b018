//! The statements, read from their files, with the configured names in them.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Postgres as Pg, postgres::PgArguments, query::Query};

use crate::names::Names;

/// A statement that is prepared once on each connection.
#[derive(Debug, Clone)]
pub(super) struct Statement(Arc<str>);

impl Statement {
    pub(super) fn query(&self) -> Query<'static, Pg, PgArguments> {
        // Nothing is in it but a file of ours and names of `a-z`, `0-9` and `_`.
        sqlx::query(AssertSqlSafe(Arc::clone(&self.0)))
    }
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
                let render = |sql| Statement(names.render(sql));
                Self { $($name: render(include_str!(concat!("sql/", stringify!($name), ".sql"))),)* }
            }
        }
    };
}

statements! {
    insert find reserve probe finish put_back extend depth clear
    lock_limit make_limit write_limit
    finish_in have_committed
    bury letters last_burial revive remove count_letters
    make_versions version note_version inspect
}
