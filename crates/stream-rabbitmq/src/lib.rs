//! The driver of stream for RabbitMQ, from 3.10 to 4.
//!
//! Quorum queues, publisher confirms, delays of any length without head-of-line blocking, dead letters, four
//! priorities, and exchanges of the user's. What it does not keep, it refuses: rate limits, unique keys, groups.

mod arrivals;
mod check;
mod config;
mod connection;
mod copier;
mod dead_letters;
mod delay;
mod driver;
mod error;
mod exchange;
mod fault;
mod flight;
mod intake;
mod link;
mod live;
mod locked;
mod message;
mod names;
mod publish;
mod push;
mod receipt;
mod rounds;
mod settle;
mod sickness;
mod stock;
mod subscription;
mod tender;
mod together;
mod topology;

pub use config::{Confirms, QueueType, RabbitMqConfig};
pub use driver::RabbitMqDriver;
pub use exchange::{Exchange, ExchangeKind, HeaderMatch};
pub use lapin;
