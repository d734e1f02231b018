//! Ending deliveries and moving their leases: in one step for each way a delivery can end.

use std::{collections::HashMap, time::Duration};

use stream_core::{Delivery, ErrorKind, Outcome, QueueName, Result, Settlement};
use tokio::join;

use crate::{
    DatabaseTransaction,
    completions::Ticket,
    connection::{Connection, Step},
    dialect::Dialect,
    error::{At, Effect},
    row::{Burial, Fenced, Key, PutBack},
};

/// The settlements of a batch, by what is done for them; each with its place in the batch.
#[derive(Default)]
struct Sorted<'a> {
    done: Vec<(usize, Key)>,
    put_back: Vec<(usize, PutBack<'a>)>,
    buried: Vec<(usize, Burial<'a>)>,
}

/// Ends deliveries; answer *i* is for settlement *i*.
pub(crate) async fn settle(
    connection: &Connection,
    queue: &QueueName,
    settlements: &[Settlement<'_>],
) -> Vec<Result<()>> {
    let at = connection.at("settle", Effect::Writes);
    let keys = settlements.iter().map(|settlement| Key::of(settlement.delivery));
    let (firsts, first_of) = firsts(keys);
    let sorted = sort(settlements, &firsts);
    let name = queue.as_str();
    let (done, put_back, buried) = join!(
        in_chunks(connection, at, name, &sorted.done, |dialect, queue, keys| dialect.finish(queue, keys)),
        in_chunks(connection, at, name, &sorted.put_back, |dialect, queue, rows| {
            dialect.put_back(queue, rows)
        }),
        in_chunks(connection, at, name, &sorted.buried, |dialect, queue, burials| {
            dialect.bury(queue, burials)
        }),
    );
    if put_back.iter().any(|(_, answer)| matches!(answer, Ok(Fenced::Applied))) {
        connection.wakes.queue(name);
    }
    let mut answers: HashMap<usize, Result<Fenced>> =
        [done, put_back, buried].into_iter().flatten().collect();
    let ended = ended_elsewhere(connection, at, &sorted.done, &mut answers).await;
    ended.into_iter().for_each(|key| connection.completions.forget(key));
    connection.ended.note(firsts.iter().filter(|(place, _)| answers[place].is_ok()).map(|it| it.1));
    answered(at, &answers, &first_of, Repeated::IsOver)
}

/// Makes leases end `lease` from now; answer *i* is for delivery *i*.
pub(crate) async fn extend(
    connection: &Connection,
    queue: &QueueName,
    deliveries: &[&Delivery],
    lease: Duration,
) -> Vec<Result<()>> {
    let at = connection.at("extend", Effect::Writes);
    let (firsts, first_of) = firsts(deliveries.iter().map(|delivery| Key::of(delivery)));
    let answers = in_chunks(connection, at, queue.as_str(), &firsts, move |dialect, queue, keys| {
        dialect.extend(queue, keys, lease)
    });
    let mut answers: HashMap<usize, Result<Fenced>> = answers.await.into_iter().collect();
    ended_elsewhere(connection, at, &firsts, &mut answers).await;
    let is_over = |place: &usize| matches!(answers[place], Ok(Fenced::Over));
    connection.ended.note(firsts.iter().filter(|(place, _)| is_over(place)).map(|it| it.1));
    answered(at, &answers, &first_of, Repeated::IsTheSame)
}

/// Ends a delivery in a transaction of the program.
pub(crate) async fn complete_in(
    connection: &Connection,
    transaction: &mut DatabaseTransaction<'_>,
    queue: &QueueName,
    delivery: &Delivery,
) -> Result<()> {
    let at = connection.at("complete", Effect::Reads);
    let key = Key::of(delivery).ok_or_else(|| at.lease_lost())?;
    let finish = connection.dialect.finish_in(transaction, queue.as_str(), key);
    let ticket = connection.within(at.operation, finish).await?;
    connection.completions.note(key, ticket.ok_or_else(|| at.lease_lost())?);
    Ok(())
}

/// Changes the answer for deliveries whose rows are gone because a transaction of the program was committed:
/// they are not over for those who ask, who are to hear that all is well. Says which these are.
async fn ended_elsewhere(
    connection: &Connection,
    at: At,
    asked: &[(usize, Key)],
    answers: &mut HashMap<usize, Result<Fenced>>,
) -> Vec<Key> {
    let over = asked.iter().filter(|(place, _)| matches!(answers[place], Ok(Fenced::Over)));
    let over: HashMap<Key, usize> = over.map(|&(place, key)| (key, place)).collect();
    let noted = connection.completions.of(over.keys().copied());
    let mut ended = Vec::new();
    for chunk in noted.chunks(connection.dialect.limits().rows) {
        let tickets: Vec<Ticket> = chunk.iter().map(|(_, ticket)| *ticket).collect();
        let dialect = &connection.dialect;
        let committed = connection.read(at.operation, || dialect.have_committed(&tickets)).await;
        for (nth, (key, _)) in chunk.iter().enumerate() {
            let answer = match &committed {
                Err(error) => Err(error.clone()),
                Ok(committed) if committed[nth] => Ok(Fenced::Applied),
                Ok(_) => continue,
            };
            ended.extend(answer.is_ok().then_some(*key));
            answers.insert(over[key], answer);
        }
    }
    ended
}

/// The keys that come for the first time with their places, and for each item the place of its first.
fn firsts(keys: impl Iterator<Item = Option<Key>>) -> (Vec<(usize, Key)>, Vec<Option<usize>>) {
    let (mut seen, mut firsts, mut first_of) = (HashMap::new(), Vec::new(), Vec::new());
    for (place, key) in keys.enumerate() {
        first_of.push(key.map(|key| {
            *seen.entry(key).or_insert_with(|| {
                firsts.push((place, key));
                place
            })
        }));
    }
    (firsts, first_of)
}

fn sort<'a>(settlements: &[Settlement<'a>], firsts: &[(usize, Key)]) -> Sorted<'a> {
    let mut sorted = Sorted::default();
    for &(place, key) in firsts {
        match settlements[place].outcome {
            Outcome::Done => sorted.done.push((place, key)),
            Outcome::Retry { after, error } => {
                sorted.put_back.push((place, PutBack { key, after: *after, error: Some(error.as_bytes()) }));
            }
            Outcome::Release { after } => {
                sorted.put_back.push((place, PutBack { key, after: *after, error: None }));
            }
            Outcome::Bury { error } => sorted.buried.push((place, Burial { key, error: error.as_bytes() })),
        }
    }
    sorted
}

/// Asks for as many items at once as a statement takes; the places with their answers.
async fn in_chunks<T: Copy + Send + Sync>(
    connection: &Connection,
    at: At,
    queue: &str,
    items: &[(usize, T)],
    ask: impl for<'s> Fn(&'s dyn Dialect, &'s str, &'s [T]) -> Step<'s, Vec<Fenced>> + Copy + Send + Sync,
) -> Vec<(usize, Result<Fenced>)> {
    let dialect = &*connection.dialect;
    let mut answers = Vec::with_capacity(items.len());
    for chunk in items.chunks(dialect.limits().rows) {
        let asked: Vec<T> = chunk.iter().map(|(_, item)| *item).collect();
        let together = connection.write(at.operation, || ask(dialect, queue, &asked)).await;
        let places = chunk.iter().map(|(place, _)| *place);
        match together {
            Ok(fenced) => answers.extend(places.zip(fenced.into_iter().map(Ok))),
            // What is in one of them is refused: not for that are its neighbours to stay.
            Err(error) if error.kind() == &ErrorKind::InvalidJob && asked.len() > 1 => {
                for (place, item) in chunk {
                    let one = std::slice::from_ref(item);
                    let alone = connection.write(at.operation, || ask(dialect, queue, one)).await;
                    answers.push((*place, alone.map(|fenced| fenced[0])));
                }
            }
            Err(error) => answers.extend(places.map(|place| (place, Err(error.clone())))),
        }
    }
    answers
}

/// What the second of two equal receipts in one batch is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeated {
    /// The first has ended the delivery.
    IsOver,
    IsTheSame,
}

fn answered(
    at: At,
    answers: &HashMap<usize, Result<Fenced>>,
    first_of: &[Option<usize>],
    repeated: Repeated,
) -> Vec<Result<()>> {
    let answer = |(place, first): (usize, &Option<usize>)| {
        // Bytes that no driver has made are the receipt of no delivery.
        let Some(first) = first else { return Err(at.lease_lost()) };
        match &answers[first] {
            Err(error) => Err(error.clone()),
            Ok(Fenced::Over) => Err(at.lease_lost()),
            Ok(Fenced::Locked) => Err(at.locked()),
            Ok(Fenced::Applied) if *first != place && repeated == Repeated::IsOver => Err(at.lease_lost()),
            Ok(Fenced::Applied) => Ok(()),
        }
    };
    first_of.iter().enumerate().map(answer).collect()
}
