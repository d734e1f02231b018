//! RabbitMQ: one broker for all tests, each case with its own queues.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use stream_core::{Driver, QueueName, Result};
use stream_rabbitmq::{RabbitMqConfig, RabbitMqDriver, lapin};
use stream_testkit::{Backend, Skip, async_trait, crash::CrashBackend, service_url};
use tokio::sync::OnceCell;

pub(crate) const VARIABLE: &str = "STREAM_TEST_AMQP_URL";

pub(crate) mod management;

#[derive(Debug)]
pub(crate) struct RabbitMqBackend {
    url: String,
    foreign: OnceCell<(RabbitMqDriver, Channel)>,
}

/// Each case has queues of its own, five of the broker's for each: those that are used no more make room.
const UNUSED: Duration = Duration::from_secs(60);

/// What all tests set that share the broker.
pub(crate) fn config() -> RabbitMqConfig {
    RabbitMqConfig::new().expires(UNUSED)
}

/// The broker as it is: the driver declares what it needs.
pub(crate) async fn set_up() -> Result<RabbitMqBackend, Skip> {
    Ok(RabbitMqBackend { url: service_url(VARIABLE)?, foreign: OnceCell::new() })
}

#[async_trait]
impl Backend for RabbitMqBackend {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(RabbitMqDriver::connect_with(&self.url, config()).await?))
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        // As a program that knows nothing but the name of the broker's queue; the driver declares it.
        let (driver, channel) = self.foreign.get_or_init(|| foreign(&self.url)).await;
        driver.depth(queue).await?;
        publish(channel, "", &format!("{queue}.default"), &bytes, BasicProperties::default()).await;
        Ok(())
    }
}

async fn foreign(url: &str) -> (RabbitMqDriver, Channel) {
    let driver = RabbitMqDriver::connect_with(url, config()).await.unwrap();
    (driver, foreign_channel(url).await)
}

/// A channel of a program that knows nothing of this driver.
pub(crate) async fn foreign_channel(url: &str) -> Channel {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel
}

/// Publishes as such a program does.
pub(crate) async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    bytes: &[u8],
    properties: BasicProperties,
) {
    let options = BasicPublishOptions::default();
    let confirm =
        channel.basic_publish(exchange.into(), key.into(), options, bytes, properties).await.unwrap();
    assert!(confirm.await.unwrap().is_ack());
}

/// A name that no other test has.
pub(crate) fn fresh_queue() -> QueueName {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() & 0xff_ffff_ffff;
    QueueName::new(format!("own{:x}-{now:x}-{count}", std::process::id())).unwrap()
}

#[async_trait]
impl CrashBackend for RabbitMqBackend {
    fn child_env(&self) -> Vec<(String, String)> {
        vec![(VARIABLE.into(), self.url.clone())]
    }

    async fn connect_from_env() -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(RabbitMqDriver::connect_with(&env::var(VARIABLE).unwrap(), config()).await?))
    }
}
