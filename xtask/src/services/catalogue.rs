//! The table of services, from which everything else follows.

use anyhow::{Result, bail};

use super::service::{Role, Service};
use super::stores::kafka::Kafka;
use super::stores::kafka_cluster::KafkaCluster;
use super::stores::kafka_tls::KafkaTls;
use super::stores::mariadb::MariaDb;
use super::stores::mysql::MySql;
use super::stores::postgres::Postgres;
use super::stores::rabbitmq::RabbitMq;
use super::stores::rabbitmq_next::RabbitMqNext;
use super::stores::redis::Redis;
use super::stores::redis_cluster::RedisCluster;
use super::stores::sqs::Sqs;
use super::stores::valkey::Valkey;

/// Every service there is.
pub(crate) const SERVICES: [&dyn Service; 16] = [
    &Postgres::Plain,
    &MariaDb,
    &Redis::Plain,
    &RedisCluster,
    &RabbitMq::Plain,
    &Kafka::MAIN,
    &Sqs,
    // For the fault tier and the tests of TLS.
    &KafkaCluster,
    &Postgres::Tls,
    &Redis::Tls,
    &RabbitMq::Tls,
    &KafkaTls,
    // Extras.
    &MySql,
    &RabbitMqNext,
    &Valkey,
    &Kafka::NEXT,
];

/// What a verb is about: a service, or one process of it as in `kafka-cluster/second`.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) service: &'static dyn Service,
    pub(crate) process: Option<String>,
}

/// The service of this name.
pub(crate) fn find(name: &str) -> Result<&'static dyn Service> {
    let found = SERVICES.into_iter().find(|service| service.name() == name);
    let Some(service) = found else {
        let known: Vec<_> = SERVICES.iter().map(|service| service.name()).collect();
        bail!("no service is named {name}; there are {}", known.join(", "));
    };
    Ok(service)
}

/// The named services in the order of the table; the main ones when none is named.
pub(crate) fn select(names: &[String]) -> Result<Vec<&'static dyn Service>> {
    let named = names.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?;
    let is_wanted = |service: &&'static dyn Service| match names {
        [] => service.role() == Role::Main,
        _ => named.iter().any(|named| named.name() == service.name()),
    };
    Ok(SERVICES.into_iter().filter(is_wanted).collect())
}

/// Reads `NAME` and `NAME/PROCESS`.
pub(crate) fn choose(names: &[String]) -> Result<Vec<Choice>> {
    let choose = |name: &String| {
        let (name, process) = match name.split_once('/') {
            Some((name, process)) => (name, Some(process.to_owned())),
            None => (name.as_str(), None),
        };
        Ok(Choice { service: find(name)?, process })
    };
    names.iter().map(choose).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::services::server::{Choices, Server};

    #[test]
    fn names_are_unique_and_ports_named_once() {
        let names: BTreeSet<_> = SERVICES.iter().map(|service| service.name()).collect();
        assert_eq!(names.len(), SERVICES.len());
        for service in SERVICES {
            let ports: BTreeSet<_> = service.ports().iter().collect();
            assert!(!ports.is_empty() && ports.len() == service.ports().len(), "{}", service.name());
        }
    }

    fn server(service: &'static dyn Service) -> Server {
        let ports = service.ports().iter().zip(1..).map(|(name, port)| ((*name).to_owned(), port));
        let choices = Choices { ports: ports.collect(), password: "secret".to_owned(), ..Choices::default() };
        Server { service, folder: "x".into(), shared: "y".into(), choices }
    }

    #[test]
    fn addresses_hold_what_a_client_needs() {
        let address = |name| {
            let service = find(name).unwrap();
            service.address(&server(service))
        };
        assert_eq!(address("postgres"), "postgres://postgres:secret@127.0.0.1:1/postgres");
        assert_eq!(address("mariadb"), "mysql://stream:secret@127.0.0.1:1/stream");
        assert_eq!(address("redis"), "redis://:secret@127.0.0.1:1/0");
        assert_eq!(address("redis-tls"), "rediss://:secret@127.0.0.1:1/0");
        let nodes = "redis-cluster://:secret@127.0.0.1:1?node=127.0.0.1:2&node=127.0.0.1:3";
        assert_eq!(address("redis-cluster"), nodes);
        assert_eq!(address("rabbitmq"), "amqp://stream:secret@127.0.0.1:1/%2f");
        assert_eq!(address("rabbitmq-tls"), "amqps://stream:secret@127.0.0.1:1/%2f");
        assert_eq!(address("kafka"), "kafka://127.0.0.1:1");
        assert_eq!(address("kafka-cluster"), "kafka://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3");
        assert_eq!(address("kafka-tls"), "kafkas://stream:secret@127.0.0.1:1");
        assert_eq!(address("sqs"), "http://127.0.0.1:1");
    }

    #[test]
    fn only_an_extra_has_the_variable_of_another() {
        let variables = |is_wanted: fn(Role) -> bool| {
            let services = SERVICES.iter().filter(|service| is_wanted(service.role()));
            services.map(|service| service.variable()).collect::<Vec<_>>()
        };
        let own = variables(|role| role != Role::Extra);
        assert_eq!(own.iter().collect::<BTreeSet<_>>().len(), own.len());
        assert!(variables(|role| role == Role::Extra).iter().all(|variable| own.contains(variable)));
    }

    #[test]
    fn no_name_selects_the_seven_main_services() {
        assert_eq!(select(&[]).unwrap().len(), 7);
        let named = select(&["sqs".into(), "redis".into()]).unwrap();
        assert_eq!(named.iter().map(|service| service.name()).collect::<Vec<_>>(), ["redis", "sqs"]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = select(&["oracle".into()]).unwrap_err().to_string();
        assert!(error.contains("oracle") && error.contains("postgres"), "{error}");
    }

    #[test]
    fn a_process_is_chosen_behind_a_stroke() {
        let choices = choose(&["redis".into(), "redis-cluster/second".into()]).unwrap();
        assert_eq!(choices[0].process, None);
        assert_eq!(
            (choices[1].service.name(), choices[1].process.as_deref()),
            ("redis-cluster", Some("second"))
        );
    }
}
