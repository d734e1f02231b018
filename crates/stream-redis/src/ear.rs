//! The blocking call, on a connection of its own.

use std::{sync::Arc, time::Duration};

use fred::{
    error::Error as FredError,
    interfaces::{ClientLike, Resp3Frame as Frame},
    types::{CustomCommand, Value},
};
use stream_core::Result;
use tokio::time::{error::Elapsed, timeout};

use crate::{
    error::At,
    keys::Keys,
    link::{Link, Live},
    reply::Reply,
};

/// How long one blocking call waits: a connection that has died in silence is noticed after that.
pub(crate) const CALL: Duration = Duration::from_secs(20);
/// How much later than that its answer may come.
const GRACE: Duration = Duration::from_secs(5);

/// What became of a blocking call.
pub(crate) enum Heard {
    /// The key of a queue's mark.
    Mark(Vec<u8>),
    /// It was interrupted, or waited in vain.
    Nothing,
    Failure,
}

impl Heard {
    fn from(answer: Result<Result<Frame, FredError>, Elapsed>) -> Self {
        match answer {
            Ok(Ok(Frame::Null)) => Self::Nothing,
            Ok(Ok(frame)) if frame.refusal().is_none() => {
                let key = frame.list().and_then(|list| list.into_iter().next()?.bytes());
                key.map_or(Self::Nothing, |key| Self::Mark(key.to_vec()))
            }
            _ => Self::Failure,
        }
    }
}

/// The connection that blocks.
pub(crate) struct Ear {
    live: Live,
    session: u64,
    /// What the server calls this connection.
    pub(crate) number: i64,
}

impl Ear {
    pub(crate) async fn open(link: &Link, slot: u16) -> Result<Self> {
        let at = At::reads("ready");
        let live = link.blocking(slot, at).await?;
        live.until_connected(at, CALL).await?;
        let session = live.session();
        let call = CustomCommand::new_static("CLIENT", 0, false);
        let number = live.client.custom_raw(call, vec![Value::from_static_str("ID")]);
        let number = timeout(GRACE, number).await.ok().and_then(|answer| answer.ok()?.number());
        number.map(|number| Self { live, session, number }).ok_or_else(|| at.unreadable())
    }

    /// Whether it still is the connection of that number.
    pub(crate) fn is_open(&self) -> bool {
        self.live.client.is_connected() && self.live.session() == self.session
    }

    /// Waits for a mark of one of these queues.
    pub(crate) async fn hear(&self, queues: &[Arc<Keys>]) -> Heard {
        let slot = queues.first().map_or(0, |keys| keys.slot);
        let mut arguments: Vec<Value> = queues.iter().map(|keys| keys.wake.clone()).collect();
        arguments.push(Value::Integer(CALL.as_secs() as i64));
        let call = CustomCommand::new_static("BZPOPMIN", slot, true);
        Heard::from(timeout(CALL + GRACE, self.live.client.custom_raw(call, arguments)).await)
    }
}
