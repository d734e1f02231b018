//! The table of dead letters.

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    change::{Change, Parts, Session},
    faults::running,
    jobs::{Finish, Keyed, count},
    pack,
    statements::Statements,
};
use crate::{
    fault::Outcome,
    row::{Burial, Burials, Fenced, Letter, Moved},
};

/// Deliveries whose jobs are dead: the letters are written, then the rows are deleted.
pub(super) struct Bury {
    keyed: Keyed,
    letters: String,
}

impl Bury {
    pub(super) fn new(queue: &str, burials: &[Burial<'_>]) -> Self {
        let letters = pack::list(burials, |json, burial| {
            json.push('[');
            pack::number(json, burial.key.token);
            json.push(',');
            pack::bytes(json, Some(burial.error));
            json.push(']');
        });
        Self { keyed: Keyed::new(queue, burials.iter().map(|burial| burial.key)), letters }
    }
}

#[async_trait]
impl Change for Bury {
    type Answer = Vec<Fenced>;

    fn parts(&self) -> Parts {
        Parts::Several
    }

    async fn make(&self, session: &mut Session<'_>) -> Outcome<Vec<Fenced>> {
        let query = session.sql.write_letters.query().bind(&self.keyed.queue).bind(self.keyed.ids());
        let query = query.bind(&self.letters).bind(session.now);
        query.execute(&mut *session.connection).await.map_err(running)?;
        Finish::delete(&self.keyed, session).await
    }
}

pub(super) async fn letters(
    connection: &mut SqliteConnection,
    sql: &Statements,
    queue: &str,
    after: i64,
    limit: usize,
) -> Outcome<Vec<Letter>> {
    let query = sql.letters.query().bind(queue).bind(after).bind(count(limit));
    let rows = query.fetch_all(connection).await.map_err(running)?;
    rows.iter().map(letter).collect()
}

fn letter(row: &SqliteRow) -> Outcome<Letter> {
    Ok(Letter {
        burial: row.try_get("burial").map_err(running)?,
        id: pack::job_id(row.try_get("id").map_err(running)?)?,
        payload: row.try_get("payload").map_err(running)?,
        attempts: row.try_get("attempts").map_err(running)?,
        lost: row.try_get("lost").map_err(running)?,
        error: row.try_get("error").map_err(running)?,
    })
}

pub(super) async fn last_burial(
    connection: &mut SqliteConnection,
    sql: &Statements,
    queue: &str,
) -> Outcome<Option<i64>> {
    let row = sql.last_burial.query().bind(queue).fetch_one(connection).await.map_err(running)?;
    row.try_get(0).map_err(running)
}

/// Letters that are done with.
pub(super) struct Move {
    pub(super) queue: String,
    pub(super) burials: Burials,
    pub(super) to: To,
}

/// Where letters go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    TheirQueue,
    Nowhere,
}

#[async_trait]
impl Change for Move {
    type Answer = Moved;

    fn parts(&self) -> Parts {
        Parts::Several
    }

    async fn make(&self, session: &mut Session<'_>) -> Outcome<Moved> {
        let Burials { after, until, limit } = self.burials;
        let look = session.sql.look_at_letters.query().bind(&self.queue).bind(after).bind(until);
        let looked = look.bind(count(limit)).fetch_one(&mut *session.connection).await.map_err(running)?;
        let last: Option<i64> = looked.try_get(0).map_err(running)?;
        let Some(until) = last else { return Ok(Moved { count: 0, last }) };
        let count = match self.to {
            To::TheirQueue => self.revive(session, until).await?,
            To::Nowhere => {
                let remove = session.sql.remove.query().bind(&self.queue).bind(after).bind(until);
                remove.execute(&mut *session.connection).await.map_err(running)?.rows_affected()
            }
        };
        Ok(Moved { count, last })
    }
}

impl Move {
    /// Inserts first and deletes only what was inserted.
    async fn revive(&self, session: &mut Session<'_>, until: i64) -> Outcome<u64> {
        let after = self.burials.after;
        let revive = session.sql.revive.query().bind(&self.queue).bind(after).bind(until);
        let revived = revive.bind(session.now).fetch_all(&mut *session.connection).await.map_err(running)?;
        let ids = pack::job_ids(&revived)?;
        let list = pack::list(&ids, |json, _| json.push('0'));
        let remove = session.sql.remove_revived.query().bind(&self.queue).bind(after).bind(until);
        let remove = remove.bind(pack::ids(ids.into_iter())).bind(list);
        Ok(remove.execute(&mut *session.connection).await.map_err(running)?.rows_affected())
    }
}
