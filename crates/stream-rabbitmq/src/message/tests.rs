//! What a copy carries and what it does not.

use lapin::message::Delivery;

use super::*;

fn message(properties: BasicProperties) -> Message {
    let mut delivery = Delivery::mock(1, "".into(), "".into(), false, b"body".to_vec());
    delivery.properties = properties;
    Message::read(delivery)
}

fn with_headers(headers: &[(&str, AMQPValue)]) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert((*name).into(), value.clone());
    }
    BasicProperties::default().with_headers(table)
}

fn names(properties: &BasicProperties) -> Vec<String> {
    let headers = properties.headers().clone().unwrap_or_default();
    headers.inner().keys().map(|name| name.as_str().to_owned()).collect()
}

#[test]
fn what_the_broker_added_is_not_written_again() {
    let text = || long("x");
    let foreign = with_headers(&[
        ("x-death", text()),
        ("x-first-death-queue", text()),
        ("x-last-death-reason", text()),
        ("x-delivery-count", AMQPValue::LongLongInt(3)),
        ("CC", text()),
        ("stream-delay-05", AMQPValue::Boolean(true)),
        ("stream-to", text()),
        ("tenant", text()),
    ]);
    let copy = message(foreign).changed(Change::None);
    assert_eq!(names(&copy), ["stream-lost", "tenant"]);
}

#[test]
fn a_foreign_message_loses_what_would_hurt_its_copy() {
    let foreign = BasicProperties::default()
        .with_expiration("100".into())
        .with_user_id("somebody".into())
        .with_content_type("text/plain".into());
    let copy = message(foreign).changed(Change::Lost);
    assert_eq!((copy.expiration(), copy.user_id()), (&None, &None));
    assert_eq!(copy.content_type().as_ref().map(ShortString::as_str), Some("text/plain"));
    assert_eq!(copy.delivery_mode(), &Some(PERSISTENT));
    assert!(copy.message_id().is_some());
}

#[test]
fn counts_of_the_broker_and_of_the_headers_add_up() {
    let read = message(with_headers(&[
        ("stream-attempt", AMQPValue::LongLongInt(4)),
        ("stream-lost", AMQPValue::LongInt(2)),
        ("x-delivery-count", AMQPValue::LongLongInt(3)),
        ("stream-error", long("disk full")),
    ]));
    assert_eq!((read.attempt, read.lost, read.last_error.as_deref()), (4, 5, Some("disk full")));
    let mut again = Delivery::mock(1, "".into(), "".into(), false, Vec::new());
    again.properties = read.changed(Change::Retried("worse".into()));
    let again = Message::read(again);
    assert_eq!((again.attempt, again.lost, again.last_error.as_deref()), (5, 5, Some("worse")));
}

#[test]
fn nonsense_in_headers_counts_as_nothing() {
    let read = message(with_headers(&[
        ("stream-attempt", AMQPValue::LongLongInt(-4)),
        ("stream-lost", long("many")),
        ("x-delivery-count", AMQPValue::Void),
    ]));
    assert_eq!((read.attempt, read.lost, read.last_error), (1, 0, None));
}

#[test]
fn a_revived_letter_begins_anew_with_its_error() {
    let mut buried = Delivery::mock(1, "".into(), "".into(), false, Vec::new());
    let lost = message(with_headers(&[("stream-attempt", AMQPValue::LongLongInt(4))]));
    buried.properties = lost.changed(Change::Buried("hopeless".into(), Priority::High));
    let letter = Message::read(buried);
    assert_eq!((letter.attempt, letter.priority), (4, Some(Priority::High)));
    assert_eq!(names(&letter.changed(Change::Revived)), ["stream-error"]);
}

#[test]
fn each_burial_has_a_name_of_its_own() {
    let name = |message: &Message| {
        let mut delivery = Delivery::mock(1, "".into(), "".into(), false, Vec::new());
        delivery.properties = message.changed(Change::Buried("x".into(), Priority::Low));
        Message::read(delivery).letter()
    };
    let job = message(BasicProperties::default());
    assert_ne!(name(&job), name(&job));
}
