//! The limits that hold on every store.

use std::time::Duration;

/// Longest delay, timeout or backoff: 8.5 years, the 28 levels of delay of RabbitMQ.
pub const LONGEST: Duration = Duration::from_secs((1 << 28) - 1);
/// Longest job name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest group, in bytes: an SQS message group id.
pub const GROUP_BYTES_MAX: usize = 128;
/// Longest unique key, in bytes.
pub const UNIQUE_KEY_BYTES_MAX: usize = 255;
/// Longest routing key, in bytes: an AMQP 0-9-1 short string.
pub const ROUTE_BYTES_MAX: usize = 255;
/// Most bytes of all header names and values of a job.
pub const HEADERS_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of an error's text; the rest is cut.
pub const ERROR_BYTES_MAX: usize = 1_000;
/// Longest receipt, in bytes.
pub const RECEIPT_BYTES_MAX: usize = 1024;

pub(crate) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX));
    text
}
