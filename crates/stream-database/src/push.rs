//! Storing jobs: in chunks that a statement takes, each job with its own answer.

use std::{collections::HashMap, ops::Range};

use stream_core::{Capabilities, Error, ErrorKind, JobId, NewJob, Pushed, QueueName, Result};

use crate::{
    DatabaseTransaction,
    connection::Connection,
    dialect::Limits,
    error::Effect,
    fault::{Failure, Fault},
    row::NewRow,
};

/// How often a row is inserted that others had been in the way of when it was, and were gone when asked for.
const ROUNDS: usize = 5;

/// By which connection the statements go.
pub(crate) enum Way<'w, 't> {
    /// One of the driver's own, each statement for itself.
    Own,
    /// The one that is in a transaction of the program.
    Within(&'w mut DatabaseTransaction<'t>),
}

impl Way<'_, '_> {
    async fn insert(
        &mut self,
        connection: &Connection,
        queue: &str,
        rows: &[NewRow<'_>],
    ) -> Result<Vec<bool>> {
        let dialect = &connection.dialect;
        match self {
            Self::Own => {
                let stored = connection.write("push", || dialect.insert(queue, rows)).await?;
                connection.wakes.queue(queue);
                Ok(stored)
            }
            Self::Within(transaction) => {
                connection.within("push", dialect.insert_in(transaction, queue, rows)).await
            }
        }
    }

    async fn find(
        &mut self,
        connection: &Connection,
        queue: &str,
        rows: &[NewRow<'_>],
    ) -> Result<Vec<Option<Pushed>>> {
        let dialect = &connection.dialect;
        match self {
            Self::Own => connection.write("push", || dialect.find(queue, rows)).await,
            Self::Within(transaction) => {
                connection.within("push", dialect.find_in(transaction, queue, rows)).await
            }
        }
    }
}

/// Stores jobs; answer *i* is for job *i*.
pub(crate) async fn push(
    connection: &Connection,
    mut way: Way<'_, '_>,
    queue: &QueueName,
    jobs: &[NewJob],
) -> Vec<Result<Pushed>> {
    let payloads: Vec<Vec<u8>> = jobs.iter().map(|job| job.envelope.to_bytes()).collect();
    let (distinct, first_of) = distinct(jobs);
    let rows: Vec<NewRow<'_>> = distinct.iter().map(|at| row(&jobs[*at], &payloads[*at])).collect();
    let mut answers: Vec<Result<Pushed>> = Vec::with_capacity(rows.len());
    for chunk in chunks(&rows, connection.dialect.limits()) {
        let stored = match answers.last() {
            // A database that is away would keep every further chunk waiting as long as this one.
            Some(Err(error)) if error.is_transient() => not_sent(connection, chunk.len()),
            _ => store(connection, &mut way, queue, &rows[chunk]).await,
        };
        answers.extend(stored);
    }
    let answer = |(at, first): (usize, &usize)| {
        let is_repeated = distinct[*first] != at;
        match &answers[*first] {
            Ok(Pushed::Stored(id)) if is_repeated => Ok(Pushed::AlreadyStored(*id)),
            answer => answer.clone(),
        }
    };
    first_of.iter().enumerate().map(answer).collect()
}

/// As `push`, in a transaction of the program, after the checks that a manager makes.
pub(crate) async fn push_in(
    connection: &Connection,
    capabilities: &Capabilities,
    transaction: &mut DatabaseTransaction<'_>,
    queue: &QueueName,
    jobs: &[NewJob],
) -> Vec<Result<Pushed>> {
    let check = |job: &NewJob| job.validate().and_then(|()| capabilities.allows(job));
    let checked: Vec<Result<()>> = jobs.iter().map(check).collect();
    let way = Way::Within(transaction);
    if checked.iter().all(Result::is_ok) {
        return push(connection, way, queue, jobs).await;
    }
    let allowed = jobs.iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
    let allowed: Vec<NewJob> = allowed.map(|(job, _)| job.clone()).collect();
    let mut stored = push(connection, way, queue, &allowed).await.into_iter();
    let answer = |checked| match checked {
        Ok(()) => stored.next(),
        Err(error) => Some(Err(error)),
    };
    checked.into_iter().filter_map(answer).collect()
}

/// The places of the jobs whose ids come for the first time, and for each job the place among those.
fn distinct(jobs: &[NewJob]) -> (Vec<usize>, Vec<usize>) {
    let mut seen: HashMap<JobId, usize> = HashMap::with_capacity(jobs.len());
    let mut firsts = Vec::with_capacity(jobs.len());
    let mut first_of = Vec::with_capacity(jobs.len());
    for (at, job) in jobs.iter().enumerate() {
        first_of.push(*seen.entry(job.envelope.id).or_insert_with(|| {
            firsts.push(at);
            firsts.len() - 1
        }));
    }
    (firsts, first_of)
}

fn row<'j>(job: &'j NewJob, payload: &'j [u8]) -> NewRow<'j> {
    let envelope = &job.envelope;
    NewRow {
        id: envelope.id,
        payload,
        priority: envelope.priority.level(),
        delay: job.delay,
        unique_key: envelope.unique_key.as_ref().map(String::as_bytes),
    }
}

/// Neighbouring rows, as many as one statement takes.
fn chunks(rows: &[NewRow<'_>], limits: Limits) -> Vec<Range<usize>> {
    let (mut chunks, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (at, row) in rows.iter().enumerate() {
        let is_full = at - begin == limits.rows || bytes + row.payload.len() > limits.bytes;
        if is_full && at > begin {
            chunks.push(begin..at);
            (begin, bytes) = (at, 0);
        }
        bytes += row.payload.len();
    }
    if begin < rows.len() {
        chunks.push(begin..rows.len());
    }
    chunks
}

fn not_sent(connection: &Connection, count: usize) -> Vec<Result<Pushed>> {
    let at = connection.at("push", Effect::Writes);
    let error = at.error(Failure::new(Fault::Away, "not sent, since the jobs before it were not answered"));
    vec![Err(error); count]
}

/// Stores a chunk; if the database refuses what is in it, row by row.
async fn store(
    connection: &Connection,
    way: &mut Way<'_, '_>,
    queue: &QueueName,
    rows: &[NewRow<'_>],
) -> Vec<Result<Pushed>> {
    match store_together(connection, way, queue, rows).await {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) if error.kind() == &ErrorKind::InvalidJob => {
            let mut answers = Vec::with_capacity(rows.len());
            for row in rows {
                let stored = store_together(connection, way, queue, std::slice::from_ref(row)).await;
                answers
                    .push(stored.map(|mut stored| stored.remove(0)).map_err(|error| of_job(error, row.id)));
            }
            answers
        }
        Err(error) => vec![Err(error); rows.len()],
    }
}

fn of_job(error: Error, id: JobId) -> Error {
    match error.kind() {
        ErrorKind::InvalidJob => error.explained(format!("the database refuses the row of job {id}")),
        _ => error,
    }
}

async fn store_together(
    connection: &Connection,
    way: &mut Way<'_, '_>,
    queue: &QueueName,
    rows: &[NewRow<'_>],
) -> Result<Vec<Pushed>> {
    let mut answers: Vec<Option<Pushed>> = vec![None; rows.len()];
    let mut open: Vec<usize> = (0..rows.len()).collect();
    for _ in 0..ROUNDS {
        let asked = pick(rows, &open);
        let stored = way.insert(connection, queue.as_str(), &asked).await?;
        for (at, _) in open.iter().zip(&stored).filter(|(_, is_new)| **is_new) {
            answers[*at] = Some(Pushed::Stored(rows[*at].id));
        }
        open.retain(|at| answers[*at].is_none());
        if open.is_empty() {
            return Ok(answers.into_iter().flatten().collect());
        }
        let asked = pick(rows, &open);
        let found = way.find(connection, queue.as_str(), &asked).await?;
        open.iter().zip(found).for_each(|(at, found)| answers[*at] = found);
        open.retain(|at| answers[*at].is_none());
        if open.is_empty() {
            return Ok(answers.into_iter().flatten().collect());
        }
    }
    let at = connection.at("push", Effect::Writes);
    Err(at.error(Failure::new(Fault::InDoubt, "others kept storing and removing the same jobs")))
}

fn pick<'r>(rows: &[NewRow<'r>], places: &[usize]) -> Vec<NewRow<'r>> {
    places.iter().map(|at| rows[*at]).collect()
}
