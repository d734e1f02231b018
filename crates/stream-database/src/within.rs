//! A push that is sent in a transaction of the program, instead of by `.await`.

use std::future::Future;

use stream_core::{Driver, Push, Pushed, Result};

use crate::{DatabaseDriver, DatabaseTransaction};

/// Sends a [`Push`] or a [`Draft`](stream_core::Draft) in a transaction of the program.
///
/// ```no_run
/// # use serde::{Deserialize, Serialize};
/// use stream_core::{Draft, Job, QueueManager};
/// use stream_database::{DatabaseDriver, PushWithin};
///
/// # #[derive(Serialize, Deserialize)]
/// # struct ShipOrder { order: i64 }
/// # impl Job for ShipOrder { const NAME: &'static str = "ship_order"; }
/// # #[cfg(feature = "postgres")]
/// # async fn example(pool: sqlx::PgPool, driver: DatabaseDriver) -> Result<(), Box<dyn std::error::Error>> {
/// let queue = QueueManager::new(driver.clone());
/// let mut transaction = pool.begin().await?;
/// sqlx::query("INSERT INTO orders (id) VALUES ($1)").bind(7_i64).execute(&mut *transaction).await?;
/// queue.push(ShipOrder { order: 7 }).on_queue("orders").within(&driver, &mut transaction).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
pub trait PushWithin {
    /// Stores the job in the transaction: there when it is committed, never there if it is rolled back.
    ///
    /// The driver stands in for the manager's connection, also if `on_connection` named one. Waiting workers
    /// are told by the commit. The delay runs from this call.
    ///
    /// # Errors
    /// Before anything is sent: `Config` for a bad queue name and for a transaction of another database,
    /// `InvalidJob`, and `Unsupported` for what the driver does not promise. Else those of
    /// [`push_in`](DatabaseDriver::push_in).
    ///
    /// # Cancel safety
    /// As [`push_in`](DatabaseDriver::push_in): roll the transaction back.
    fn within<'t>(
        self,
        driver: &'t DatabaseDriver,
        transaction: impl Into<DatabaseTransaction<'t>>,
    ) -> impl Future<Output = Result<Pushed>> + Send + 't;
}

impl<To> PushWithin for Push<To> {
    fn within<'t>(
        self,
        driver: &'t DatabaseDriver,
        transaction: impl Into<DatabaseTransaction<'t>>,
    ) -> impl Future<Output = Result<Pushed>> + Send + 't {
        let prepared = self.prepare(&driver.capabilities());
        let transaction = transaction.into();
        async move {
            let (queue, job) = prepared?;
            driver.push_in(transaction, &queue, &[job]).await.remove(0)
        }
    }
}
