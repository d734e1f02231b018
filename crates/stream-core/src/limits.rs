//! The limits that hold on every store.

use std::time::Duration;

/// Longest delay, timeout or backoff: 2^28 - 1 s, 8.5 years, where RabbitMQ's 28 levels of delay end.
pub const LONGEST: Duration = Duration::from_secs((1 << 28) - 1);
/// Longest job name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest group, in bytes: that of an SQS message group id.
pub const GROUP_BYTES_MAX: usize = 128;
/// Longest unique key, in bytes.
pub const UNIQUE_KEY_BYTES_MAX: usize = 255;
/// Longest routing key, in bytes: that of an AMQP 0-9-1 short string.
pub const ROUTE_BYTES_MAX: usize = 255;
/// Most bytes in all header names and values of a job.
pub const HEADERS_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of an error's text that are stored; the rest is cut.
pub const ERROR_BYTES_MAX: usize = 1_000;
/// Longest receipt that a driver may issue, in bytes.
pub const RECEIPT_BYTES_MAX: usize = 1024;

/// The longest prefix of `text` within `ERROR_BYTES_MAX` that ends between characters.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(ERROR_BYTES_MAX)]
}
