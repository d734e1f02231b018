//! RabbitMQ: one broker for all tests, each case with its own queues.

use std::{env, sync::Arc, time::Duration};

use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use stream_core::{Driver, QueueName, Result};
use stream_rabbitmq::{RabbitMqConfig, RabbitMqDriver, lapin};
use stream_testkit::{Backend, Skip, async_trait, crash::CrashBackend, service_url};

pub(crate) const VARIABLE: &str = "STREAM_TEST_AMQP_URL";

#[derive(Debug)]
pub(crate) struct RabbitMqBackend {
    url: String,
}

/// Each case has queues of its own, five of the broker's for each: those that are used no more make room.
const UNUSED: Duration = Duration::from_secs(60);

/// What all tests set that share the broker.
pub(crate) fn config() -> RabbitMqConfig {
    RabbitMqConfig::new().expires(UNUSED)
}

/// The broker as it is: the driver declares what it needs.
pub(crate) async fn set_up() -> Result<RabbitMqBackend, Skip> {
    Ok(RabbitMqBackend { url: service_url(VARIABLE)? })
}

#[async_trait]
impl Backend for RabbitMqBackend {
    async fn connect(&self) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(RabbitMqDriver::connect_with(&self.url, config()).await?))
    }

    async fn inject(&self, queue: &QueueName, bytes: Vec<u8>) -> Result<()> {
        // As a program that knows nothing but the name of the broker's queue; this declares it.
        let driver = self.connect().await?;
        driver.depth(queue).await?;
        publish(&self.url, "", &format!("{queue}.default"), &bytes, BasicProperties::default()).await;
        driver.close().await
    }
}

/// Publishes as a foreign producer does.
pub(crate) async fn publish(url: &str, exchange: &str, key: &str, bytes: &[u8], properties: BasicProperties) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let options = BasicPublishOptions::default();
    let confirm =
        channel.basic_publish(exchange.into(), key.into(), options, bytes, properties).await.unwrap();
    assert!(confirm.await.unwrap().is_ack());
    connection.close(200, "done".into()).await.unwrap();
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
