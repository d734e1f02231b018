//! A TCP proxy that delays, cuts, swallows and stalls what passes through it, while it passes.

mod connection;
mod traffic;

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use connection::serve;
use traffic::Counters;
pub use traffic::{Traffic, Volume};

/// A TCP proxy on 127.0.0.1 that passes everything on until it is told otherwise; it ends on drop.
///
/// Modes hold until [`pass`](Self::pass), for the connections there are and for new ones, and can be
/// combined. What closes connections strikes those there are at that moment; new ones are welcome.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    shared: Arc<Shared>,
    listens: watch::Receiver<bool>,
    acceptor: JoinHandle<()>,
}

/// The two directions of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Requests,
    /// From the server to the client.
    Replies,
}

/// What connections do at the moment.
#[derive(Debug, Clone, Default)]
struct Control {
    delays: [Duration; 2],
    trickle: Option<Duration>,
    is_black_hole: bool,
    eats_replies: bool,
    refuses: bool,
    /// Connections with a number below this one are to close.
    closed_below: u64,
    closes_by_reset: bool,
    /// By direction: connections with a number below this one forward it no more.
    half_closed_below: [u64; 2],
}

#[derive(Debug, Default)]
struct Shared {
    counters: Counters,
    /// The numbers of the open connections.
    open: watch::Sender<BTreeSet<u64>>,
}

/// Between two tries to get the port back after a refusal.
const BIND_AGAIN: Duration = Duration::from_millis(5);

impl Proxy {
    /// Listens on a free port and connects each client to `upstream`.
    ///
    /// # Errors
    /// Those of the listening socket.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (control, orders) = watch::channel(Control::default());
        let (listening, listens) = watch::channel(true);
        let shared = Arc::new(Shared::default());
        let acceptor = Acceptor { address, upstream, orders, listening, shared: shared.clone() };
        let acceptor = tokio::spawn(acceptor.run(listener));
        Ok(Self { address, control, shared, listens, acceptor })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes everything on again: ends all modes, and returns when the port is open.
    pub async fn pass(&self) {
        self.control.send_modify(|control| {
            let closing = control.clone();
            *control = Control {
                closed_below: closing.closed_below,
                closes_by_reset: closing.closes_by_reset,
                half_closed_below: closing.half_closed_below,
                ..Control::default()
            };
        });
        self.until_listening(true).await;
    }

    /// Holds each chunk that long; what comes meanwhile is held with the next.
    pub fn delay(&self, requests: Duration, replies: Duration) {
        self.control.send_modify(|control| control.delays = [requests, replies]);
    }

    /// Passes one byte at a time, with this pause after each.
    pub fn trickle(&self, pause: Duration) {
        self.control.send_modify(|control| control.trickle = Some(pause));
    }

    /// Accepts connections and forwards nothing; what is sent meanwhile arrives after `pass`.
    pub fn black_hole(&self) {
        self.control.send_modify(|control| control.is_black_hole = true);
    }

    /// Forwards requests and swallows the answers, which never arrive.
    pub fn eat_replies(&self) {
        self.control.send_modify(|control| control.eats_replies = true);
    }

    /// Refuses new connections, as a port where nobody listens; returns when it does.
    pub async fn refuse(&self) {
        self.control.send_modify(|control| control.refuses = true);
        self.until_listening(false).await;
    }

    /// Closes every connection there is; returns when they are closed.
    pub async fn cut(&self) {
        self.close_all(false).await;
    }

    /// Closes every connection there is with a reset (`SO_LINGER` 0); returns when they are closed.
    pub async fn reset(&self) {
        self.close_all(true).await;
    }

    /// Ends one direction of every connection there is: its receiver sees the end of the stream, the
    /// other direction goes on.
    pub fn half_close(&self, direction: Direction) {
        let next = self.shared.counters.accepted();
        self.control.send_modify(|control| control.half_closed_below[direction as usize] = next);
    }

    /// What has passed so far.
    pub fn traffic(&self) -> Traffic {
        let open = self.shared.open.borrow().len();
        self.shared.counters.traffic(open)
    }

    async fn close_all(&self, closes_by_reset: bool) {
        let next = self.shared.counters.accepted();
        self.control.send_modify(|control| {
            control.closed_below = next;
            control.closes_by_reset = closes_by_reset;
        });
        let mut open = self.shared.open.subscribe();
        let is_done = |open: &BTreeSet<u64>| open.first().is_none_or(|oldest| *oldest >= next);
        open.wait_for(is_done).await.expect("the proxy holds the sender");
    }

    async fn until_listening(&self, wanted: bool) {
        let mut listens = self.listens.clone();
        listens.wait_for(|listens| *listens == wanted).await.expect("the acceptor runs as long as the proxy");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Connections are its children and end with it.
        self.acceptor.abort();
    }
}

struct Acceptor {
    address: SocketAddr,
    upstream: SocketAddr,
    orders: watch::Receiver<Control>,
    listening: watch::Sender<bool>,
    shared: Arc<Shared>,
}

impl Acceptor {
    async fn run(mut self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let mut listener = Some(listener);
        loop {
            if self.orders.borrow_and_update().refuses {
                listener = None;
            } else if listener.is_none() {
                listener = self.listen_again().await;
            }
            self.listening.send_replace(listener.is_some());
            let accepted = tokio::select! {
                changed = self.orders.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                accepted = accept(listener.as_ref()) => accepted,
            };
            while connections.try_join_next().is_some() {}
            // A client that was gone before it was accepted is none.
            let Ok(client) = accepted else { continue };
            connections.spawn(self.connection(client));
        }
    }

    /// The same port again; none if it is to be refused before it is free.
    async fn listen_again(&self) -> Option<TcpListener> {
        while !self.orders.borrow().refuses {
            match TcpListener::bind(self.address).await {
                Ok(listener) => return Some(listener),
                Err(_) => sleep(BIND_AGAIN).await,
            }
        }
        None
    }

    fn connection(&self, client: TcpStream) -> impl Future<Output = ()> + Send + 'static {
        let number = self.shared.counters.accept();
        let place = OpenConnection::new(self.shared.clone(), number);
        let (upstream, orders) = (self.upstream, self.orders.clone());
        async move {
            serve(number, client, upstream, orders, &place.shared.counters).await;
            drop(place);
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// A connection's entry in the list of open ones.
struct OpenConnection {
    shared: Arc<Shared>,
    number: u64,
}

impl OpenConnection {
    fn new(shared: Arc<Shared>, number: u64) -> Self {
        shared.open.send_modify(|open| {
            open.insert(number);
        });
        Self { shared, number }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.shared.open.send_modify(|open| {
            open.remove(&self.number);
        });
    }
}
