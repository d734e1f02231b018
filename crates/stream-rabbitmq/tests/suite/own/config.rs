//! What `connect` refuses, before any broker is asked.

use std::time::Duration;

use stream_core::{Error, ErrorKind};
use stream_rabbitmq::{Confirms, Exchange, HeaderMatch, RabbitMqConfig, RabbitMqDriver};

async fn refusal(url: &str, config: RabbitMqConfig) -> Error {
    let error = RabbitMqDriver::connect_with(url, config).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config, "{error}");
    error
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_being_shown() {
    for url in ["", "localhost", "http://guest:secret@host", "amqp://guest:secret@host:port/"] {
        let shown = format!("{:?}", refusal(url, RabbitMqConfig::new()).await);
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_kept_are_refused() {
    let new = RabbitMqConfig::new;
    for config in [
        new().prefix("seventeen-letters"),
        new().prefix("a b"),
        new().confirms(Confirms::Window(0)),
        new().prefetch_max(0),
        new().delivery_limit(0),
        new().call_timeout(Duration::ZERO),
        new().connect_timeout(Duration::ZERO),
        new().consumer_timeout(Duration::from_millis(999)),
        new().envelope_bytes_max(16 * 1024 * 1024),
        new().expires(Duration::ZERO),
        new().expires(Duration::from_secs(50 * 24 * 60 * 60)),
    ] {
        refusal("amqp://localhost/%2f", config).await;
    }
}

#[tokio::test]
async fn exchanges_that_cannot_route_as_they_say_are_refused() {
    for exchange in [
        Exchange::direct(""),
        Exchange::topic("amq.topic"),
        Exchange::topic("events").bind("not a queue's name"),
        Exchange::topic("events").bind_key("emails", "x".repeat(256)),
        Exchange::headers("events").bind("emails"),
        Exchange::headers("events").bind_headers("emails", HeaderMatch::All, [("x-kind", "mail")]),
        Exchange::headers("events").bind_headers("emails", HeaderMatch::Any, [("stream-to", "mail")]),
        Exchange::headers("events").bind_headers("emails", HeaderMatch::Any, Vec::<(String, String)>::new()),
        Exchange::topic("events").bind_headers("emails", HeaderMatch::All, [("kind", "mail")]),
    ] {
        refusal("amqp://localhost/%2f", RabbitMqConfig::new().exchange(exchange)).await;
    }
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn an_address_of_amqps_asks_for_the_feature() {
    let error = refusal("amqps://localhost/%2f", RabbitMqConfig::new()).await;
    assert!(error.to_string().contains("feature `tls`"), "{error}");
}
