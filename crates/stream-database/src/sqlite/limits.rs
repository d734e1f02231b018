//! Reserving under a rate limit: the lock of the file is that of the log.

use async_trait::async_trait;
use sqlx::Row as _;
use stream_core::RateLimit;

use super::{
    change::{Change, Durability, Parts, Session},
    faults::running,
    jobs::Reserve,
};
use crate::{
    fault::Outcome,
    row::{Limited, Take},
    take_log::TakeLog,
};

/// Rows to be taken, as many as the limit permits.
pub(super) struct ReserveLimited {
    pub(super) queue: String,
    pub(super) take: Take,
    pub(super) limit: RateLimit,
}

#[async_trait]
impl Change for ReserveLimited {
    type Answer = Limited;

    fn durability(&self) -> Durability {
        Durability::Written
    }

    fn parts(&self) -> Parts {
        Parts::Several
    }

    async fn make(&self, session: &mut Session<'_>) -> Outcome<Limited> {
        let read = session.sql.read_limit.query().bind(&self.queue);
        let row = read.fetch_optional(&mut *session.connection).await.map_err(running)?;
        let bytes: Vec<u8> = match row {
            Some(row) => row.try_get(0).map_err(running)?,
            None => Vec::new(),
        };
        let mut log = TakeLog::read(&bytes)?;
        let (limit, now) = (self.limit, session.now);
        let mut take = self.take;
        take.max_jobs = take.max_jobs.min(log.permits(limit, now));
        let rows = match take.max_jobs {
            0 => Vec::new(),
            _ => Reserve { queue: self.queue.clone(), take }.make(session).await?,
        };
        if !rows.is_empty() {
            log.note(rows.len(), limit, now);
            let write = session.sql.write_limit.query().bind(&self.queue).bind(log.to_bytes());
            write.execute(&mut *session.connection).await.map_err(running)?;
        }
        Ok(Limited { rows, wait: log.wait(limit, now) })
    }
}
