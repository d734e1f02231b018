//! Storing jobs: in windows of confirms, each job with its own answer.

use std::sync::Arc;

use lapin::types::{AMQPValue, FieldTable, LongString};
use stream_core::{Error, ErrorKind, NewJob, Pushed, QueueName, Result};

use crate::{
    connection::Connection,
    copier::way,
    delay,
    error::{At, DRIVER},
    exchange,
    fault::{Failure, Fault, Outcome, code},
    live::Live,
    message,
    publish::{Fate, Parcel, publish},
    rounds::Rounds,
    topology::Part,
};

/// Stores jobs; answer *i* is for job *i*.
pub(crate) async fn push(connection: &Connection, queue: &QueueName, jobs: &[NewJob]) -> Vec<Result<Pushed>> {
    let at = At("push");
    let mut answers: Vec<Option<Result<Pushed>>> =
        jobs.iter().map(|job| refused(connection, job).map(Err)).collect();
    let good: Vec<usize> = (0..jobs.len()).filter(|place| answers[*place].is_none()).collect();
    let mut outage: Option<Failure> = None;
    for window in good.chunks(connection.config.window()) {
        let chosen: Vec<&NewJob> = window.iter().map(|place| &jobs[*place]).collect();
        let outcomes = match &outage {
            // A broker that is away would keep every further window waiting as long as this one.
            Some(failure) => vec![Err(failure.clone()); chosen.len()],
            None => store(connection, queue, &chosen).await,
        };
        if let Some(Err(failure)) = outcomes.last()
            && matches!(failure.fault, Fault::Away | Fault::InDoubt)
        {
            outage.get_or_insert(Failure::new(
                Fault::Away,
                "not sent, since the jobs before it were not answered",
            ));
        }
        for (place, outcome) in window.iter().zip(outcomes) {
            let id = jobs[*place].envelope.id;
            answers[*place] = Some(outcome.map(|()| Pushed::Stored(id)).map_err(|failure| at.error(failure)));
        }
    }
    answers.into_iter().flatten().collect()
}

/// What cannot go to the user's exchange with a meaning.
fn refused(connection: &Connection, job: &NewJob) -> Option<Error> {
    connection.config.exchange.as_ref()?;
    let reserved =
        job.envelope.headers.keys().find(|name| exchange::is_reserved(name) || name.len() > 255)?;
    let detail = format!(
        "the header {:?} cannot be matched by an exchange: the broker or the driver gives it a meaning, or it is longer \
         than 255 bytes",
        reserved.chars().take(40).collect::<String>()
    );
    Some(Error::new(ErrorKind::InvalidJob, DRIVER, "push").explained(detail))
}

/// Stores a window of jobs.
async fn store(connection: &Connection, queue: &QueueName, jobs: &[&NewJob]) -> Vec<Outcome<()>> {
    let bodies: Vec<Vec<u8>> = jobs.iter().map(|job| job.envelope.to_bytes()).collect();
    let mut rounds = Rounds::new(jobs.len(), &unroutable(connection));
    while let Some(open) = rounds.next().await {
        let window = open.iter().map(|at| (jobs[*at], bodies[*at].as_slice())).collect();
        match try_store(connection, queue, window).await {
            Ok((live, fates)) => {
                if rounds.judge(fates) {
                    // A queue was removed since it was declared.
                    live.forget_all();
                }
            }
            Err(failure) => rounds.fail(&failure),
        }
    }
    rounds.outcomes()
}

/// Fails as a whole where nothing was sent.
async fn try_store(
    connection: &Connection,
    queue: &QueueName,
    window: Vec<(&NewJob, &[u8])>,
) -> Outcome<(Arc<Live>, Vec<Fate>)> {
    connection.ensure_open()?;
    let live = connection.pushes.live().await?;
    prepare(connection, &live, queue, window.iter().map(|(job, _)| *job)).await?;
    let parcels: Vec<Parcel<'_>> =
        window.iter().map(|(job, body)| parcel(connection, queue, job, body)).collect();
    let fates = {
        let channel = live.lend().await?;
        let fates = publish(&channel, &parcels, connection.config.call_timeout).await;
        if fates.iter().all(|fate| !matches!(fate, Fate::Failed(_))) {
            channel.give_back();
        }
        fates
    };
    Ok((live, judge_refused(&parcels, fates)))
}

/// The broker closes the channel for a message that is too large; it is the largest of those that were sent.
fn judge_refused(parcels: &[Parcel<'_>], mut fates: Vec<Fate>) -> Vec<Fate> {
    let is_too_large = |fate: &Fate| match fate {
        Fate::Failed(failure) => {
            let said = failure.said().unwrap_or_default();
            failure.code() == Some(code::PRECONDITION_FAILED) && said.contains("size")
                || failure.code() == Some(code::CONTENT_TOO_LARGE)
        }
        _ => false,
    };
    if fates.iter().any(is_too_large) {
        let largest = (0..parcels.len())
            .filter(|at| is_too_large(&fates[*at]))
            .max_by_key(|at| parcels[*at].body.len());
        for (at, fate) in fates.iter_mut().enumerate() {
            let Fate::Failed(failure) = fate else { continue };
            if Some(at) == largest {
                failure.fault = Fault::Refused;
                let bytes = parcels[at].body.len();
                failure.detail =
                    Some(format!("the broker takes no message of {bytes} bytes: see its max_message_size"));
            } else if failure.fault == Fault::Unexpected {
                failure.fault = Fault::InDoubt;
            }
        }
    }
    fates
}

fn unroutable(connection: &Connection) -> Failure {
    match &connection.config.exchange {
        Some(exchange) => {
            let detail = format!(
                "no queue is bound to the exchange `{}` for this route and these headers",
                exchange.name
            );
            Failure::new(Fault::Config, detail)
        }
        None => Failure::new(Fault::Away, "the queue is removed as fast as it is declared"),
    }
}

async fn prepare<'j>(
    connection: &Connection,
    live: &Live,
    queue: &QueueName,
    jobs: impl Iterator<Item = &'j NewJob>,
) -> Outcome<()> {
    live.unblocked().await?;
    let parts: Vec<Part> = jobs
        .flat_map(|job| {
            let seconds = delay::seconds(job.delay);
            match &connection.config.exchange {
                Some(_) => {
                    delay::top_level(seconds).map(Part::Delay).into_iter().chain([Part::Exchange]).collect()
                }
                None => way(queue, job.envelope.priority, seconds),
            }
        })
        .collect();
    connection.topology.ensure(live, parts).await
}

fn parcel<'b>(connection: &Connection, queue: &QueueName, job: &NewJob, body: &'b [u8]) -> Parcel<'b> {
    let names = &connection.topology.names;
    let seconds = delay::seconds(job.delay);
    let properties = message::fresh(job.envelope.id.to_string());
    let mut headers = FieldTable::default();
    let (exchange, key, to) = match &connection.config.exchange {
        Some(exchange) => {
            users_headers(&mut headers, job);
            let key = job.route.clone().unwrap_or_else(|| queue.as_str().to_owned());
            (exchange.name.clone(), key, delay::to_exchange(exchange))
        }
        None => (String::new(), names.ready(queue, job.envelope.priority), delay::TO_QUEUE.to_owned()),
    };
    let exchange = match delay::top_level(seconds) {
        Some(level) => {
            delay::steer(&mut headers, seconds, &to);
            names.delay(level)
        }
        None => exchange,
    };
    Parcel { exchange, key, body, properties: properties.with_headers(headers) }
}

fn users_headers(headers: &mut FieldTable, job: &NewJob) {
    for (name, value) in &job.envelope.headers {
        headers.insert(name.as_str().into(), AMQPValue::LongString(LongString::from(value.as_str())));
    }
    message::with_priority(headers, job.envelope.priority);
}
