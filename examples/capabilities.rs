//! Prints what each driver promises as a table in Markdown; `cargo xtask capabilities` puts it into the docs.

use std::fmt::Debug;

use anyhow::{Result, ensure};
use stream_core::{Capabilities, Driver};
use stream_database::DatabaseDriver;
use stream_memory::MemoryDriver;
use stream_rabbitmq::RabbitMqDriver;
use stream_redis::RedisDriver;

/// One row: what is promised, and how a driver's promise reads.
struct Row(&'static str, fn(&Capabilities) -> String);

/// In the order of the fields of `Capabilities`.
const ROWS: [Row; 18] = [
    Row("delay of a push", |can| can.push_delay.to_string()),
    Row("delay of a retry or release", |can| can.retry_delay.to_string()),
    Row("lease", |can| can.lease.to_string()),
    Row("fence", |can| words(can.fence)),
    Row("counts of attempts and losses", |can| words(can.counts)),
    Row("a repeated push is recognised", |can| words(can.repeated_push)),
    Row("priorities", |can| words(can.priorities)),
    Row("order of one producer's pushes", |can| words(can.order)),
    Row("rate limit shared by all processes", |can| words(can.rate_limit)),
    Row("routing keys", |can| words(can.routing)),
    Row("groups", |can| words(can.groups)),
    Row("unique keys", |can| words(can.unique)),
    Row("depth", |can| words(can.depth)),
    Row("clear takes delayed jobs too", |can| words(can.clear_delayed)),
    Row("last error is kept for the next attempt", |can| words(can.last_error)),
    Row("list of dead letters", |can| words(can.dead_letters)),
    Row("largest envelope", |can| bytes(can.envelope_bytes_max)),
    Row("batch that pays, in jobs", |can| can.batch.to_string()),
];

#[tokio::main]
async fn main() -> Result<()> {
    // No server is asked: capabilities come from the configuration alone.
    let postgres = DatabaseDriver::connect("postgres://localhost/jobs").await?;
    let mysql = DatabaseDriver::connect("mysql://localhost/jobs").await?;
    let sqlite = DatabaseDriver::connect("sqlite:jobs.db").await?;
    let redis = RedisDriver::connect("redis://localhost").await?;
    let rabbitmq = RabbitMqDriver::connect("amqp://localhost/%2f").await?;
    let drivers: [Box<dyn Driver>; 6] = [
        Box::new(MemoryDriver::new()),
        Box::new(postgres),
        Box::new(mysql),
        Box::new(sqlite),
        Box::new(redis),
        Box::new(rabbitmq),
    ];
    let promised: Vec<(&str, Capabilities)> =
        drivers.iter().map(|driver| (driver.name(), driver.capabilities())).collect();
    for (name, capabilities) in &promised {
        let fields = fields(capabilities);
        ensure!(fields == ROWS.len(), "{name}: {fields} capabilities, but the table has {} rows", ROWS.len());
    }
    print_row("capability", promised.iter().map(|(name, _)| (*name).to_owned()));
    print_row("---", promised.iter().map(|_| "---".to_owned()));
    for Row(label, says) in &ROWS {
        print_row(label, promised.iter().map(|(_, capabilities)| says(capabilities)));
    }
    Ok(())
}

fn print_row(label: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    println!("| {label} | {} |", cells.join(" | "));
}

/// How many fields there are: only `Debug` tells, since other crates cannot name all fields of the struct.
fn fields(capabilities: &Capabilities) -> usize {
    let shown = format!("{capabilities:#?}");
    let is_field =
        |line: &&str| line.strip_prefix("    ").is_some_and(|rest| rest.starts_with(char::is_alphabetic));
    shown.lines().filter(is_field).count()
}

/// The name of a variant as words: `BestEffort` reads `best effort`.
fn words(variant: impl Debug) -> String {
    let mut text = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn bytes(count: usize) -> String {
    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;
    match count {
        _ if count.is_multiple_of(MIB) => format!("{} MiB", count / MIB),
        _ if count.is_multiple_of(KIB) => format!("{} KiB", count / KIB),
        _ => format!("{count} bytes"),
    }
}
