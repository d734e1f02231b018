//! Declares what jobs lie in: queues, dead letters, the delay chain, exchanges.
//!
//! Everything is declared when it is first needed, as often as anybody likes: what is there already stays as it is.

use futures_core::future::BoxFuture;
use lapin::{
    Channel, ExchangeKind as Kind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, LongString},
};
use stream_core::{Priority, QueueName};

use crate::{
    QueueType, RabbitMqConfig, delay,
    exchange::{By, Exchange, ExchangeKind, HeaderMatch},
    fault::{Failure, Fault, Outcome, code},
    live::Live,
    message::PRIORITY,
    names::Names,
};

/// A part of the topology.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// The queue for the ready jobs of a priority.
    Ready(QueueName, Priority),
    /// The queue for the dead letters.
    Dead(QueueName),
    /// The delay chain up to this level.
    Delay(u32),
    /// The way from the end of the delay chain to a queue.
    Due(QueueName, Priority),
    /// The user's exchange, and what is bound to it.
    Exchange,
}

/// Declares parts of the topology on a connection, each once.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) names: Names,
    config: RabbitMqConfig,
}

impl Topology {
    pub(crate) fn new(config: &RabbitMqConfig) -> Self {
        Self { names: Names::new(&config.prefix), config: config.clone() }
    }

    /// Sees to it that the parts are there.
    pub(crate) async fn ensure(&self, live: &Live, parts: impl IntoIterator<Item = Part>) -> Outcome<()> {
        let missing = self.missing(live, parts);
        if missing.is_empty() {
            return Ok(());
        }
        let _turn = live.may_declare().await;
        let missing = self.missing(live, missing);
        if missing.is_empty() {
            return Ok(());
        }
        let channel = live.lend().await?;
        let steps: Vec<Step> = missing.iter().flat_map(|part| self.steps(live, part)).collect();
        // One after the other: a channel that was refused one step takes no other, and says of which it was.
        for chunk in steps.chunks(64) {
            let declared = live.within(pipelined(&channel, chunk)).await;
            declared.map_err(|failure| explain(failure, &self.config))?;
        }
        live.note(missing.iter().map(|part| self.key(part)));
        channel.give_back();
        Ok(())
    }

    fn missing(&self, live: &Live, parts: impl IntoIterator<Item = Part>) -> Vec<Part> {
        let mut missing: Vec<Part> = Vec::new();
        for part in parts {
            if !missing.contains(&part) && !live.knows(&self.key(&part)) {
                missing.push(part);
            }
        }
        missing
    }

    /// How a part is remembered: for a queue its name on the broker.
    pub(crate) fn key(&self, part: &Part) -> String {
        match part {
            Part::Ready(queue, priority) => self.names.ready(queue, *priority),
            Part::Dead(queue) => self.names.dead(queue),
            Part::Delay(level) => format!("{} and below", self.names.delay(*level)),
            Part::Due(queue, priority) => format!("{} when due", self.names.ready(queue, *priority)),
            Part::Exchange => "exchange".into(),
        }
    }

    fn steps(&self, live: &Live, part: &Part) -> Vec<Step> {
        match part {
            Part::Ready(queue, priority) => {
                vec![Step::Queue(self.names.ready(queue, *priority), self.ready(queue))]
            }
            Part::Dead(queue) => vec![Step::Queue(self.names.dead(queue), self.expiring(self.plain()))],
            Part::Due(queue, priority) => {
                let name = self.names.ready(queue, *priority);
                vec![
                    Step::Exchange(self.names.deliver(), Kind::Direct, FieldTable::default()),
                    Step::Bind(name.clone(), self.names.deliver(), name, FieldTable::default()),
                ]
            }
            Part::Delay(top) => self.chain(live, *top),
            Part::Exchange => {
                self.config.exchange.as_ref().map_or_else(Vec::new, |exchange| self.users(exchange))
            }
        }
    }

    /// The levels up to `top`, the lowest first: none leads to what is not there.
    fn chain(&self, live: &Live, top: u32) -> Vec<Step> {
        let due = self.names.due();
        let mut steps = vec![
            Step::Exchange(due.clone(), Kind::Headers, FieldTable::default()),
            Step::Exchange(self.names.deliver(), Kind::Direct, FieldTable::default()),
            Step::Join(
                self.names.deliver(),
                due.clone(),
                String::new(),
                matching(delay::TO, long(delay::TO_QUEUE)),
            ),
        ];
        for level in (0..=top).filter(|level| !live.knows(&self.key(&Part::Delay(*level)))) {
            let (name, header) = (self.names.delay(level), delay::header(level));
            let below = if level == 0 { due.clone() } else { self.names.delay(level - 1) };
            let mut arguments = self.dead_lettering(below.clone());
            arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(delay::wait_ms(level)));
            let waits = matching(&header, AMQPValue::Boolean(true));
            steps.extend([
                Step::Exchange(name.clone(), Kind::Headers, FieldTable::default()),
                Step::Queue(name.clone(), arguments),
                Step::Bind(name.clone(), name.clone(), String::new(), waits),
                Step::Join(below, name, String::new(), matching(&header, AMQPValue::Boolean(false))),
            ]);
        }
        steps
    }

    /// A user's exchange leads to an exchange in front of each bound queue, which finds the right one of its four by
    /// the priority in a header; what has none, from a foreign producer, goes on to the default one.
    fn users(&self, exchange: &Exchange) -> Vec<Step> {
        let name = self.names.exchange(exchange).to_owned();
        let kind = match exchange.kind {
            ExchangeKind::Direct => Kind::Direct,
            ExchangeKind::Topic => Kind::Topic,
            ExchangeKind::Headers => Kind::Headers,
            ExchangeKind::Fanout => Kind::Fanout,
        };
        let (due, to) = (self.names.due(), long(&delay::to_exchange(exchange)));
        let mut steps = vec![
            Step::Exchange(name.clone(), kind, FieldTable::default()),
            Step::Exchange(due.clone(), Kind::Headers, FieldTable::default()),
            Step::Join(name.clone(), due, String::new(), matching(delay::TO, to)),
        ];
        let mut joined = Vec::new();
        for binding in &exchange.bindings {
            let Ok(queue) = QueueName::new(&binding.queue) else { continue };
            let inlet = self.names.inlet(&queue);
            if !joined.contains(&inlet) {
                steps.extend(self.inlet(&queue, &inlet));
                joined.push(inlet.clone());
            }
            let (key, arguments) = match &binding.by {
                By::Key(key) => (key.clone(), FieldTable::default()),
                By::Headers(how, headers) => (String::new(), matching_each(*how, headers)),
            };
            steps.push(Step::Join(inlet, name.clone(), key, arguments));
        }
        steps
    }

    fn inlet(&self, queue: &QueueName, inlet: &str) -> Vec<Step> {
        let rest = format!("{inlet}.rest");
        let mut otherwise = FieldTable::default();
        otherwise.insert("alternate-exchange".into(), long(&rest));
        let mut steps = vec![
            Step::Exchange(rest.clone(), Kind::Fanout, FieldTable::default()),
            Step::Exchange(inlet.to_owned(), Kind::Headers, otherwise),
        ];
        for priority in Priority::ALL {
            let ready = self.names.ready(queue, priority);
            steps.push(Step::Queue(ready.clone(), self.ready(queue)));
            let matches = matching(PRIORITY, long(priority.as_str()));
            steps.push(Step::Bind(ready, inlet.to_owned(), String::new(), matches));
        }
        let default = self.names.ready(queue, Priority::Default);
        steps.push(Step::Bind(default, rest, String::new(), FieldTable::default()));
        steps
    }

    /// A queue of ready jobs. A quorum queue that has delivered a job too often moves it to the dead letters.
    fn ready(&self, queue: &QueueName) -> FieldTable {
        if self.config.queue_type == QueueType::Classic {
            return self.expiring(self.plain());
        }
        let mut arguments = self.expiring(self.dead_lettering(String::new()));
        arguments.insert("x-dead-letter-routing-key".into(), long(&self.names.dead(queue)));
        arguments
            .insert("x-delivery-limit".into(), AMQPValue::LongLongInt(self.config.delivery_limit.into()));
        arguments
    }

    fn expiring(&self, mut arguments: FieldTable) -> FieldTable {
        if let Some(unused) = self.config.expires {
            let ms = i64::try_from(unused.as_millis()).unwrap_or(i64::MAX);
            arguments.insert("x-expires".into(), AMQPValue::LongLongInt(ms));
        }
        arguments
    }

    /// A queue that keeps what is in it.
    fn plain(&self) -> FieldTable {
        let mut arguments = FieldTable::default();
        let kind = match self.config.queue_type {
            QueueType::Quorum => "quorum",
            QueueType::Classic => "classic",
        };
        arguments.insert("x-queue-type".into(), long(kind));
        if self.config.queue_type == QueueType::Quorum {
            // Reading dead letters counts as deliveries.
            arguments
                .insert("x-delivery-limit".into(), AMQPValue::LongLongInt(self.config.delivery_limit.into()));
        }
        arguments
    }

    /// A queue that hands on what ends in it, on quorum queues not before the next has it:
    /// <https://www.rabbitmq.com/docs/quorum-queues#dead-lettering>.
    fn dead_lettering(&self, to: String) -> FieldTable {
        let mut arguments = self.plain();
        arguments.insert("x-dead-letter-exchange".into(), long(&to));
        if self.config.queue_type == QueueType::Quorum {
            arguments.insert("x-dead-letter-strategy".into(), long("at-least-once"));
            arguments.insert("x-overflow".into(), long("reject-publish"));
        }
        arguments
    }
}

/// One declaration.
#[derive(Debug, Clone)]
enum Step {
    Queue(String, FieldTable),
    Exchange(String, Kind, FieldTable),
    /// Queue, exchange, key.
    Bind(String, String, String, FieldTable),
    /// The exchange that gets, the one that gives, key.
    Join(String, String, String, FieldTable),
}

impl Step {
    fn send<'c>(&'c self, channel: &'c Channel) -> BoxFuture<'c, lapin::Result<()>> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let lasting = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        match self {
            Self::Queue(name, arguments) => Box::pin(async move {
                channel.queue_declare(name.as_str().into(), durable, arguments.clone()).await.map(drop)
            }),
            Self::Exchange(name, kind, arguments) => Box::pin(channel.exchange_declare(
                name.as_str().into(),
                kind.clone(),
                lasting,
                arguments.clone(),
            )),
            Self::Bind(queue, exchange, key, arguments) => Box::pin(channel.queue_bind(
                queue.as_str().into(),
                exchange.as_str().into(),
                key.as_str().into(),
                QueueBindOptions::default(),
                arguments.clone(),
            )),
            Self::Join(to, from, key, arguments) => Box::pin(channel.exchange_bind(
                to.as_str().into(),
                from.as_str().into(),
                key.as_str().into(),
                ExchangeBindOptions::default(),
                arguments.clone(),
            )),
        }
    }
}

/// Sends all steps before it awaits the first answer.
async fn pipelined(channel: &Channel, steps: &[Step]) -> lapin::Result<()> {
    crate::together::all(steps.iter().map(|step| step.send(channel))).await.into_iter().collect()
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

fn matching(header: &str, value: AMQPValue) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-match".into(), long("all"));
    arguments.insert(header.into(), value);
    arguments
}

fn matching_each(how: HeaderMatch, headers: &[(String, String)]) -> FieldTable {
    let mut arguments = FieldTable::default();
    let how = match how {
        HeaderMatch::All => "all",
        HeaderMatch::Any => "any",
    };
    arguments.insert("x-match".into(), long(how));
    for (name, value) in headers {
        arguments.insert(name.as_str().into(), long(value));
    }
    arguments
}

/// Says what to do where the broker refuses a declaration; which queue and which argument it says itself.
fn explain(failure: Failure, config: &RabbitMqConfig) -> Failure {
    let said = failure.said().unwrap_or_default().to_owned();
    let detail = match failure.code() {
        Some(code::PRECONDITION_FAILED) => format!(
            "{said}: declared before with other settings. Give this connection those settings (the queue type is \
             {:?}, the delivery limit {}), or another prefix, or delete it on the broker when it is empty",
            config.queue_type, config.delivery_limit
        ),
        Some(code::ACCESS_REFUSED) => {
            format!(
                "{said}: grant this user configure, write and read on the names that begin with `{}`",
                config.prefix
            )
        }
        Some(code::RESOURCE_LOCKED) => format!("{said}: another program holds it for itself"),
        _ => return failure,
    };
    Failure { fault: Fault::Config, ..failure }.explained(detail)
}
