//! A transaction of the program, in which jobs are pushed and deliveries ended.

use std::{any::Any, fmt};

use crate::fault::{Failure, Fault, Outcome};

/// A transaction of the program: made by `From`, of the transactions of sqlx.
///
/// It has to be on the database of the driver that it is given to, and see the same tables.
pub struct DatabaseTransaction<'t> {
    connection: &'t mut (dyn Any + Send),
}

impl<'t> DatabaseTransaction<'t> {
    /// Each dialect makes them of its own transactions alone, so that this is never a bare connection.
    pub(crate) fn on<C: Any + Send>(connection: &'t mut C) -> Self {
        Self { connection }
    }

    /// The connection, if it is of the asking dialect.
    pub(crate) fn connection<C: Any>(&mut self) -> Outcome<&mut C> {
        let other = "this is a transaction of another database than the driver's";
        self.connection.downcast_mut().ok_or_else(|| Failure::new(Fault::Config, other))
    }
}

impl fmt::Debug for DatabaseTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseTransaction(..)")
    }
}
