//! One push, two jobs: a fanout exchange of RabbitMQ feeds the queues `emails` and `audit`.
//!
//! Run it with `cargo run --features drivers --example fanout -- amqp://localhost/%2f`. It declares the exchange
//! `example-signups` and queues that begin with `example-` there; they are removed a minute after its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use stream_core::{Consumer, Context, Handler, Handlers, Job, JobResult, QueueManager};
use stream_rabbitmq::{Exchange, RabbitMqConfig, RabbitMqDriver};
use tokio::time::{sleep, timeout};

const SIGNUPS: usize = 3;

#[derive(Serialize, Deserialize)]
struct SignedUp {
    user: u64,
}

impl Job for SignedUp {
    const NAME: &'static str = "signed_up";
    // Where it goes, the exchange decides.
    const QUEUE: &'static str = "emails";
}

/// What one service does with a signup.
#[derive(Clone)]
struct Service {
    does: &'static str,
    handled: Arc<AtomicUsize>,
}

impl Handler<SignedUp> for Service {
    async fn handle(&self, job: SignedUp, _: Context) -> JobResult {
        println!("{} user {}", self.does, job.user);
        self.handled.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).context("name a broker: amqp://localhost/%2f")?;
    let signups = Exchange::fanout("example-signups").bind("emails").bind("audit");
    let config = RabbitMqConfig::new().prefix("example-").expires(Duration::from_secs(60)).exchange(signups);
    let queue = QueueManager::new(RabbitMqDriver::connect_with(&address, config).await?);
    // Each service is a consumer of its own, as if it were a program of its own.
    let handled = Arc::new(AtomicUsize::new(0));
    let mut consumers = Vec::new();
    for (name, does) in [("emails", "writing to"), ("audit", "noting down")] {
        let service = Service { does, handled: handled.clone() };
        let handlers = Handlers::new().register::<SignedUp>(service);
        consumers.push(Consumer::builder(&queue, handlers).queues([name]).start().await?);
    }
    for user in 0..SIGNUPS as u64 {
        queue.push(SignedUp { user }).await?;
    }
    let all = async {
        while handled.load(Ordering::Relaxed) < 2 * SIGNUPS {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), all).await.context("a job did not arrive")?;
    for consumer in consumers {
        consumer.shutdown().await?;
    }
    ensure!(handled.load(Ordering::Relaxed) == 2 * SIGNUPS, "a job ran twice");
    println!("{SIGNUPS} pushes were {} jobs", 2 * SIGNUPS);
    queue.close().await?;
    Ok(())
}
