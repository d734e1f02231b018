//! Messages of producers that know nothing of this driver.

use std::time::Duration;

use lapin::{
    BasicProperties,
    options::{BasicGetOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldArray, FieldTable},
};
use stream_core::{Draft, Driver, Outcome, Settlement};
use stream_rabbitmq::{RabbitMqDriver, lapin};

use super::broker::{address, take};
use crate::backend::{config, foreign_channel, fresh_queue, publish};

#[tokio::test]
async fn bytes_of_a_foreign_producer_are_kept_through_retries_and_burial() {
    let name = "own::foreign::bytes_of_a_foreign_producer_are_kept_through_retries_and_burial";
    let Some(url) = address(name) else { return };
    let (driver, queue) = (RabbitMqDriver::connect_with(&url, config()).await.unwrap(), fresh_queue());
    driver.depth(&queue).await.unwrap();
    let channel = foreign_channel(&url).await;
    // A user that is not this one's, and a time to live that a copy must not have.
    let properties =
        BasicProperties::default().with_expiration("60000".into()).with_content_type("text/plain".into());
    publish(&channel, "", &format!("{queue}.high"), b"no envelope", properties).await;

    let retried = take(&driver, &queue).await;
    let outcome = Outcome::Retry { after: Duration::ZERO, error: "what is it?".into() };
    driver.settle(&queue, &[Settlement::new(&retried, &outcome)]).await.remove(0).unwrap();
    let again = take(&driver, &queue).await;
    assert_eq!((again.attempt, again.last_error.as_deref()), (2, Some("what is it?")));
    let outcome = Outcome::Bury { error: "hopeless".into() };
    driver.settle(&queue, &[Settlement::new(&again, &outcome)]).await.remove(0).unwrap();

    let letters = driver.dead_letters().unwrap();
    let letter = letters.list(&queue, None, 1).await.unwrap().remove(0);
    assert_eq!(letter.envelope.unwrap_err().bytes, b"no envelope");
    assert_eq!((letter.attempt, letter.error.as_str()), (2, "hopeless"));
    // It goes back to the queue of the priority that it came from.
    // A letter that was listed is given back, which the broker does in its own time.
    while !letters.retry(&queue, &letter.id).await.unwrap() {}
    let got =
        channel.basic_get(format!("{queue}.high").into(), BasicGetOptions::default()).await.unwrap().unwrap();
    assert_eq!(got.delivery.data, b"no envelope");
    assert_eq!(got.delivery.properties.expiration(), &None);
}

/// Without `x-death` taken away the second trip ends in nothing: the broker takes it for a cycle.
#[tokio::test]
async fn a_copy_carries_nothing_that_the_broker_has_added() {
    let Some(url) = address("own::foreign::a_copy_carries_nothing_that_the_broker_has_added") else { return };
    let (driver, queue) = (RabbitMqDriver::connect_with(&url, config()).await.unwrap(), fresh_queue());
    driver.push(&queue, &[Draft::named("x", &1).into_job().unwrap()]).await.remove(0).unwrap();
    for _ in 0..2 {
        let taken = take(&driver, &queue).await;
        let outcome = Outcome::Release { after: Duration::from_secs(1) };
        driver.settle(&queue, &[Settlement::new(&taken, &outcome)]).await.remove(0).unwrap();
    }
    let taken = take(&driver, &queue).await;
    let outcome = Outcome::Release { after: Duration::ZERO };
    driver.settle(&queue, &[Settlement::new(&taken, &outcome)]).await.remove(0).unwrap();

    let channel = foreign_channel(&url).await;
    let got = channel.basic_get(format!("{queue}.default").into(), BasicGetOptions::default()).await.unwrap();
    let got = got.expect("the copy is there");
    let headers = got.delivery.properties.headers().clone().unwrap_or_default();
    let names: Vec<&str> = headers.inner().keys().map(lapin::types::ShortString::as_str).collect();
    // The broker adds one to what it delivers a second time.
    assert!(names.is_empty() || names == ["x-delivery-count"], "{names:?}");
}

#[tokio::test]
async fn a_copy_is_not_sent_to_others_that_the_original_named() {
    let Some(url) = address("own::foreign::a_copy_is_not_sent_to_others_that_the_original_named") else {
        return;
    };
    let (driver, queue) = (RabbitMqDriver::connect_with(&url, config()).await.unwrap(), fresh_queue());
    driver.depth(&queue).await.unwrap();
    let channel = foreign_channel(&url).await;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let other = format!("{queue}-other");
    channel.queue_declare(other.as_str().into(), durable, FieldTable::default()).await.unwrap();
    let mut headers = FieldTable::default();
    let to = FieldArray::from(vec![AMQPValue::LongString(other.as_str().into())]);
    headers.insert("CC".into(), AMQPValue::FieldArray(to));
    let properties = BasicProperties::default().with_headers(headers);
    publish(&channel, "", &format!("{queue}.default"), b"to two", properties).await;

    let taken = take(&driver, &queue).await;
    let outcome = Outcome::Release { after: Duration::ZERO };
    driver.settle(&queue, &[Settlement::new(&taken, &outcome)]).await.remove(0).unwrap();

    let purged =
        channel.queue_purge(other.as_str().into(), lapin::options::QueuePurgeOptions::default()).await;
    assert_eq!(purged.unwrap(), 1, "the copy went to both");
    channel.queue_delete(other.into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
}
