//! What the broker refuses: users, virtual hosts, declarations, messages.

use std::slice;

use lapin::{ExchangeKind as Kind, options::ExchangeDeclareOptions, types::FieldTable};
use stream_core::{Draft, Driver, ErrorKind, Outcome, QueueName, Reserve, Settlement};
use stream_rabbitmq::{Exchange, QueueType, RabbitMqDriver, lapin};
use stream_testkit::service_url;

use crate::backend::{VARIABLE, config, foreign_channel, fresh_queue};

/// The broker's address, unless there is none.
pub(crate) fn address(test: &str) -> Option<String> {
    service_url(VARIABLE).map_err(|skip| skip.report(test)).ok()
}

fn job() -> stream_core::NewJob {
    Draft::named("x", &1).into_job().unwrap()
}

async fn push(driver: &RabbitMqDriver, queue: &QueueName) -> stream_core::Result<stream_core::Pushed> {
    driver.push(queue, slice::from_ref(&job())).await.remove(0)
}

#[tokio::test]
async fn a_wrong_password_is_a_configuration_error_that_does_not_show_it() {
    let Some(url) = address("own::broker::a_wrong_password_is_a_configuration_error_that_does_not_show_it")
    else {
        return;
    };
    let (_, host) = url.rsplit_once('@').unwrap();
    let driver = RabbitMqDriver::connect(&format!("amqp://stream:sesame@{host}")).await.unwrap();

    for error in [push(&driver, &fresh_queue()).await.unwrap_err(), driver.check().await.unwrap_err()] {
        assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
        assert!(!format!("{error} {error:?} {driver:?}").contains("sesame"), "{error:?}");
    }
}

#[tokio::test]
async fn a_virtual_host_that_is_not_there_is_a_configuration_error() {
    let Some(url) = address("own::broker::a_virtual_host_that_is_not_there_is_a_configuration_error") else {
        return;
    };
    let (start, _) = url.rsplit_once('/').unwrap();
    let driver = RabbitMqDriver::connect(&format!("{start}/nowhere")).await.unwrap();

    let error = push(&driver, &fresh_queue()).await.unwrap_err();

    assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("virtual host"), "{error}");
}

#[tokio::test]
async fn a_queue_that_is_declared_otherwise_is_named_with_what_to_do() {
    let Some(url) = address("own::broker::a_queue_that_is_declared_otherwise_is_named_with_what_to_do")
    else {
        return;
    };
    let queue = fresh_queue();
    let quorum = RabbitMqDriver::connect_with(&url, config()).await.unwrap();
    push(&quorum, &queue).await.unwrap();
    let classic = RabbitMqDriver::connect_with(&url, config().queue_type(QueueType::Classic)).await.unwrap();

    let error = push(&classic, &queue).await.unwrap_err();

    assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
    let text = error.to_string();
    for part in [format!("{queue}.default"), "inequivalent arg 'x-".into(), "another prefix".into()] {
        assert!(text.contains(&part), "{text}");
    }
    // Its neighbours are not hurt.
    push(&quorum, &queue).await.unwrap();
}

#[tokio::test]
async fn an_exchange_of_another_type_is_named_with_what_to_do() {
    let Some(url) = address("own::broker::an_exchange_of_another_type_is_named_with_what_to_do") else {
        return;
    };
    let (queue, name) = (fresh_queue(), format!("{}-events", fresh_queue()));
    let channel = foreign_channel(&url).await;
    let transient =
        ExchangeDeclareOptions { auto_delete: true, durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(name.as_str().into(), Kind::Fanout, transient, FieldTable::default())
        .await
        .unwrap();
    let exchange = Exchange::topic(&name).bind(queue.as_str());
    let driver = RabbitMqDriver::connect_with(&url, config().exchange(exchange)).await.unwrap();

    let error = push(&driver, &queue).await.unwrap_err();

    assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
    assert!(error.to_string().contains(&name), "{error}");
    let findings = format!("{:?}", driver.check().await.unwrap());
    assert!(findings.contains(&name), "{findings}");
}

#[tokio::test]
async fn a_sound_broker_has_no_findings() {
    let Some(url) = address("own::broker::a_sound_broker_has_no_findings") else { return };
    let driver = RabbitMqDriver::connect_with(&url, config()).await.unwrap();
    assert_eq!(driver.check().await.unwrap(), []);
    let classic = config().queue_type(QueueType::Classic).prefix("classic.");
    let classic = RabbitMqDriver::connect_with(&url, classic).await.unwrap();
    let findings = classic.check().await.unwrap();
    assert!(findings.len() == 1 && !findings[0].severe, "{findings:?}");
}

#[tokio::test]
async fn classic_queues_count_losses_as_well() {
    let Some(url) = address("own::broker::classic_queues_count_losses_as_well") else { return };
    let classic = || config().queue_type(QueueType::Classic).prefix("classic.");
    let queue = fresh_queue();
    let first = RabbitMqDriver::connect_with(&url, classic()).await.unwrap();
    push(&first, &queue).await.unwrap();
    let taken = take(&first, &queue).await;
    assert_eq!((taken.attempt, taken.lost), (1, 0));
    first.close().await.unwrap();

    let second = RabbitMqDriver::connect_with(&url, classic()).await.unwrap();
    let taken = take(&second, &queue).await;

    assert_eq!((taken.attempt, taken.lost), (1, 1));
    let settlement = Settlement::new(&taken, &Outcome::Done);
    second.settle(&queue, &[settlement]).await.remove(0).unwrap();
    assert_eq!(second.depth(&queue).await.unwrap().ready, 0);
}

/// Waits for one job.
pub(crate) async fn take(driver: &RabbitMqDriver, queue: &QueueName) -> stream_core::Delivery {
    let subscription = driver.subscribe(slice::from_ref(queue)).await.unwrap();
    for _ in 0..20 {
        if let Some(delivery) = subscription.reserve(queue, Reserve::new(1)).await.unwrap().pop() {
            subscription.close().await.unwrap();
            return delivery;
        }
        subscription.ready(std::time::Duration::from_secs(1)).await.unwrap();
    }
    panic!("no job came to {queue}");
}
