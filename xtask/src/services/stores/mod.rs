//! One module per store: how its server is installed, prepared, started and asked whether it works.

pub(crate) mod kafka;
pub(crate) mod kafka_cluster;
pub(crate) mod kafka_tls;
pub(crate) mod mariadb;
pub(crate) mod mysql;
pub(crate) mod postgres;
pub(crate) mod rabbitmq;
pub(crate) mod rabbitmq_next;
pub(crate) mod redis;
pub(crate) mod redis_cluster;
pub(crate) mod sqs;
mod tls;
pub(crate) mod valkey;
