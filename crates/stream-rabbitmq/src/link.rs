//! A connection that is made again whenever it was lost.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use lapin::{Connection, ConnectionProperties, uri::AMQPUri};
use stream_core::{Error, ErrorKind, Result};
use tokio::time::timeout;

use crate::{
    error::DRIVER,
    fault::{Failure, Fault, Outcome, code},
    flight::Flight,
    live::Live,
};

/// Seconds between signs of life, unless the address says otherwise: a dead peer is noticed within two of them.
/// RabbitMQ's own default is 60; it advises 5 to 20 (<https://www.rabbitmq.com/docs/heartbeats>).
const HEARTBEAT_S: u16 = 10;
/// How the broker's operators see the connections of this driver, unless a factory says otherwise.
const NAME: &str = "stream";

/// Makes a connection each time one is needed.
pub(crate) type Factory = Arc<dyn Fn() -> Connecting + Send + Sync>;
pub(crate) type Connecting = Pin<Box<dyn Future<Output = lapin::Result<Connection>> + Send>>;

/// A connection that is made when it is first used, and again after it was lost.
pub(crate) struct Link {
    factory: Factory,
    flight: Flight<Arc<Live>>,
    connect_timeout: Duration,
    call_timeout: Duration,
}

impl Link {
    pub(crate) fn new(factory: Factory, connect_timeout: Duration, call_timeout: Duration) -> Self {
        Self { factory, flight: Flight::new(), connect_timeout, call_timeout }
    }

    /// The connection that works, or a new one.
    pub(crate) async fn live(&self) -> Outcome<Arc<Live>> {
        let make = || {
            let (connecting, limit, call_timeout) =
                ((self.factory)(), self.connect_timeout, self.call_timeout);
            Box::pin(async move {
                match timeout(limit, connecting).await {
                    Ok(Ok(connection)) => Ok(Arc::new(Live::new(connection, call_timeout))),
                    Ok(Err(error)) => Err(explain(Failure::away(error))),
                    Err(_) => Err(Failure::no_answer(limit, Fault::Away)),
                }
            }) as crate::flight::Making<Arc<Live>>
        };
        self.flight.get(|live| live.is_good(), make).await
    }

    /// The connection there is, if it works.
    pub(crate) fn existing(&self) -> Option<Arc<Live>> {
        self.flight.landed().filter(|live| live.is_good())
    }

    pub(crate) async fn close(&self) {
        if let Some(live) = self.existing() {
            live.close().await;
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("is_good", &self.existing().is_some()).finish_non_exhaustive()
    }
}

/// Connections to an address.
///
/// # Errors
/// `Config` for one that cannot be read; it is not shown, since it holds a password.
pub(crate) fn to_address(url: &str) -> Result<Factory> {
    let wrong = |detail: &str| Error::new(ErrorKind::Config, DRIVER, "connect").explained(detail);
    let uri: AMQPUri = url
        .parse()
        .map_err(|_| wrong("the address is not of the form amqp://user:password@host:port/vhost"))?;
    if url.starts_with("amqps") && !cfg!(feature = "tls") {
        return Err(wrong("an address of amqps needs the feature `tls`"));
    }
    let mut uri = uri;
    uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
    Ok(Arc::new(move || {
        let properties = ConnectionProperties::default().with_connection_name(NAME.into());
        Box::pin(Connection::connect_uri(uri.clone(), properties))
    }))
}

/// Says what to change where the broker refuses the connection itself.
fn explain(failure: Failure) -> Failure {
    let detail = match failure.code() {
        Some(code::ACCESS_REFUSED) => "the broker refuses this user or password",
        Some(code::NOT_ALLOWED | code::NOT_FOUND) => {
            "the broker has no such virtual host, or this user may not use it"
        }
        _ => return failure,
    };
    Failure { fault: Fault::Config, ..failure }.explained(detail)
}
