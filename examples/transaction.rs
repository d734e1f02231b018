//! An order and the job that ships it, committed together; then the shipment and the end of that job.
//!
//! Run it with `cargo run --features drivers --example transaction -- postgres://localhost/postgres`. It makes the
//! tables `shop_orders` and `shop_jobs` there, and drops them at the end.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgPool};
use stream_core::{Consumer, Context, Handler, Handlers, Job, JobResult, QueueManager};
use stream_database::{DatabaseConfig, DatabaseDriver, PushWithin};

#[derive(Serialize, Deserialize)]
struct ShipOrder {
    order: i64,
}

impl Job for ShipOrder {
    const NAME: &'static str = "ship_order";
    const QUEUE: &'static str = "shipping";
}

#[derive(Clone)]
struct Shop {
    pool: PgPool,
    driver: DatabaseDriver,
    queue: QueueManager,
}

/// Whether the customer changes her mind before she pays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Customer {
    Pays,
    Leaves,
}

impl Shop {
    async fn open(address: &str) -> Result<Self> {
        let pool = PgPool::connect(address).await.context("no database answers at this address")?;
        let config = DatabaseConfig::new().prefix("shop_");
        let driver = DatabaseDriver::from_pool(pool.clone(), config).await?;
        driver.migrate().await?;
        let table = "CREATE TABLE IF NOT EXISTS shop_orders (id bigint PRIMARY KEY, shipped_at timestamptz)";
        pool.execute(table).await?;
        Ok(Self { queue: QueueManager::new(driver.clone()), pool, driver })
    }

    async fn order(&self, order: i64, customer: Customer) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        let insert = sqlx::query("INSERT INTO shop_orders (id) VALUES ($1)").bind(order);
        insert.execute(&mut *transaction).await?;
        self.queue.push(ShipOrder { order }).within(&self.driver, &mut transaction).await?;
        println!(
            "order {order}: the row is written, {} jobs are to be seen",
            self.queue.size("shipping").await?
        );
        match customer {
            Customer::Pays => transaction.commit().await?,
            Customer::Leaves => transaction.rollback().await?,
        }
        println!("order {order}: the transaction is over, {} jobs", self.queue.size("shipping").await?);
        Ok(())
    }
}

impl Handler<ShipOrder> for Shop {
    async fn handle(&self, job: ShipOrder, cx: Context) -> JobResult {
        let mut transaction = self.pool.begin().await?;
        let update = sqlx::query("UPDATE shop_orders SET shipped_at = now() WHERE id = $1").bind(job.order);
        update.execute(&mut *transaction).await?;
        // Without this a crash between commit and settlement would ship the order twice.
        self.driver.complete_in(&mut transaction, cx.queue(), &cx.delivery()).await?;
        transaction.commit().await?;
        println!("order {}: shipped in attempt {}", job.order, cx.attempt());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let address =
        std::env::args().nth(1).context("say which database, such as postgres://localhost/postgres")?;
    let shop = Shop::open(&address).await?;
    shop.order(1, Customer::Pays).await?;
    shop.order(2, Customer::Leaves).await?;

    let handlers = Handlers::new().register::<ShipOrder>(shop.clone());
    let consumer =
        Consumer::builder(&shop.queue, handlers).queues(["shipping"]).grace(Duration::from_secs(5));
    let drained = consumer.drain().await?;

    let counts = "SELECT count(*), count(shipped_at) FROM shop_orders";
    let (orders, shipped): (i64, i64) = sqlx::query_as(counts).fetch_one(&shop.pool).await?;
    println!("{orders} order, {shipped} shipped, {} job done", drained.done);
    let drop = "DROP TABLE shop_orders, shop_jobs, shop_jobs_dead, shop_jobs_limits, shop_jobs_versions";
    shop.pool.execute(drop).await?;
    ensure!(
        (orders, shipped, drained.done) == (1, 1, 1),
        "an order went without its job, or a job without its order"
    );
    Ok(())
}
