//! The statements, read from their files, with the configured names in them.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, MySql as My, mysql::MySqlArguments, query::Query};

use super::script::Script;
use crate::names::Names;

/// A statement that is prepared once on each connection.
#[derive(Debug, Clone)]
pub(super) struct Statement(Arc<str>);

impl Statement {
    pub(super) fn query(&self) -> Query<'static, My, MySqlArguments> {
        // Nothing is in it but a file of ours and names of `a-z`, `0-9` and `_`.
        sqlx::query(AssertSqlSafe(Arc::clone(&self.0)))
    }

    /// For what is sent as text, since it is several statements or none that can be prepared.
    pub(super) fn text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl From<Arc<str>> for Statement {
    fn from(sql: Arc<str>) -> Self {
        Self(sql)
    }
}

/// Declares one field for each file, of the type that says how it is sent.
macro_rules! statements {
    ($($kind:ident: $($name:ident)*;)*) => {
        /// One for each file in `sql`, by its name.
        #[derive(Debug)]
        pub(super) struct Statements {
            $($(pub(super) $name: $kind,)*)*
        }

        impl Statements {
            pub(super) fn of(names: &Names) -> Self {
                let render = |sql| names.render(sql);
                Self {
                    $($($name: $kind::from(render(include_str!(concat!("sql/", stringify!($name), ".sql")))),)*)*
                }
            }
        }
    };
}

statements! {
    Statement:
        insert find find_in probe finish_one depth
        make_limit write_limit note_done have_committed forget_done
        letters last_burial count_letters
        facts lock_migration make_versions version note_version inspect allowed;
    Script: reserve clear finish put_back bury extend lock_limit revive remove;
}
