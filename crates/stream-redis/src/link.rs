//! The client: made when it is first used, made again when its runtime is gone, and judged when it connects.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fred::{
    clients::{Client, WithOptions},
    error::ErrorKind as FredKind,
    interfaces::{ClientLike, ClusterInterface, EventInterface},
    types::{
        Builder, ClientState, ConnectHandle,
        config::{Config, Options, ReconnectPolicy, Server, ServerConfig, UnresponsiveConfig},
    },
};
use stream_core::{ErrorKind, Result};
use tokio::{
    sync::broadcast::{Receiver, error::TryRecvError},
    time::{Instant, timeout, timeout_at},
};

use crate::{RedisConfig, error::At, locked::locked};

/// Waits between attempts to connect, in milliseconds: the first is not to be felt.
const RECONNECT_FIRST_MS: u32 = 1;
const RECONNECT_LONGEST_MS: u32 = 500;
const RECONNECT_JITTER_MS: u32 = 5;
/// Where the server is a cluster: how often a command may be sent on to another node.
const REDIRECTIONS_MAX: u32 = 4;
/// How long a `close` waits for the server to say goodbye.
const FAREWELL: Duration = Duration::from_millis(500);

/// Where clients come from.
pub(crate) enum Source {
    /// An address, read.
    Address(Box<Config>),
    /// A client that the program has already.
    Client(Client),
}

/// The way to the server.
pub(crate) struct Link {
    source: Source,
    connect_timeout: Duration,
    call_timeout: Duration,
    live: Mutex<Option<Arc<Live>>>,
    is_closed: AtomicBool,
}

/// A client with the task that works for it.
pub(crate) struct Live {
    pub(crate) client: Client,
    /// The client as all commands but the blocking ones use it.
    pub(crate) commands: WithOptions<Client>,
    task: Option<ConnectHandle>,
    connections: Mutex<Receiver<Server>>,
    /// How often it has connected.
    session: AtomicU64,
    /// The session that was judged last, and found fit.
    judged: AtomicU64,
}

impl Link {
    pub(crate) fn new(source: Source, config: &RedisConfig) -> Self {
        Self {
            source,
            connect_timeout: config.connect_timeout,
            call_timeout: config.call_timeout,
            live: Mutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        match &self.source {
            Source::Address(config) => config.server.is_clustered(),
            Source::Client(client) => client.is_clustered(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(crate) fn ensure_open(&self, at: At) -> Result<()> {
        if self.is_closed() { Err(at.closed()) } else { Ok(()) }
    }

    /// The client, connected; nothing was sent if there is an error.
    pub(crate) async fn connected(&self, at: At) -> Result<Arc<Live>> {
        self.ensure_open(at)?;
        let live = self.live();
        if !live.client.is_connected() {
            live.until_connected(at, self.connect_timeout).await?;
        }
        Ok(live)
    }

    fn live(&self) -> Arc<Live> {
        let mut live = locked(&self.live);
        match &*live {
            Some(live) if live.is_alive() => live.clone(),
            _ => live.insert(Arc::new(self.start())).clone(),
        }
    }

    fn start(&self) -> Live {
        match &self.source {
            Source::Client(client) => Live::new(client.clone(), None, self.call_timeout),
            Source::Address(_) => {
                let unresponsive = UnresponsiveConfig {
                    max_timeout: Some(self.call_timeout),
                    interval: (self.call_timeout / 4).max(Duration::from_millis(10)),
                };
                let client = self.client(self.config(), unresponsive);
                // Before it connects, or the first connection would go unnoticed.
                let mut live = Live::new(client.clone(), None, self.call_timeout);
                live.task = Some(client.connect());
                live
            }
        }
    }

    /// A client of its own for a command that blocks, which no timeout of ours ends.
    ///
    /// In a cluster it is connected to the node that has the slot, and to no other.
    pub(crate) async fn blocking(&self, slot: u16, at: At) -> Result<Live> {
        let mut config = self.config();
        if config.server.is_clustered() {
            let cluster = self.connected(at).await?.client.cached_cluster_state();
            let owner = cluster.as_ref().and_then(|cluster| cluster.get_server(slot).cloned());
            let server = owner.ok_or_else(|| at.error(ErrorKind::Unavailable))?;
            config.server = ServerConfig::Centralized { server };
        }
        let client = self.client(config, UnresponsiveConfig::default());
        let mut live = Live::new(client.clone(), None, Duration::ZERO);
        live.task = Some(client.connect());
        Ok(live)
    }

    fn config(&self) -> Config {
        match &self.source {
            Source::Address(config) => (**config).clone(),
            Source::Client(client) => client.client_config(),
        }
    }

    fn client(&self, config: Config, unresponsive: UnresponsiveConfig) -> Client {
        let mut policy = ReconnectPolicy::new_exponential(0, RECONNECT_FIRST_MS, RECONNECT_LONGEST_MS, 2);
        policy.set_jitter(RECONNECT_JITTER_MS);
        let mut builder = Builder::from_config(config);
        builder.set_policy(policy);
        builder.with_config(|config| config.fail_fast = false);
        builder.with_connection_config(|connection| {
            connection.connection_timeout = self.connect_timeout;
            connection.internal_command_timeout = self.connect_timeout;
            connection.max_redirections = REDIRECTIONS_MAX;
            connection.unresponsive = unresponsive;
            connection.tcp.nodelay = Some(true);
        });
        builder.build().expect("a configuration was given")
    }

    pub(crate) async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let live = locked(&self.live).take();
        let Some(live) = live.filter(|live| live.task.is_some()) else { return };
        if live.client.is_connected() {
            let _ = timeout(FAREWELL, live.client.quit()).await;
        }
    }
}

impl Live {
    fn new(client: Client, task: Option<ConnectHandle>, call_timeout: Duration) -> Self {
        let options = Options {
            // What was sent is never sent again when its connection is lost: only the caller knows what may
            // be repeated. Being sent on to another node of a cluster is counted as an attempt, too.
            fail_fast: true,
            max_attempts: Some(if client.is_clustered() { 1 + REDIRECTIONS_MAX } else { 1 }),
            max_redirections: Some(REDIRECTIONS_MAX),
            timeout: Some(call_timeout),
            ..Options::default()
        };
        Self {
            commands: client.with_options(&options),
            connections: Mutex::new(client.reconnect_rx()),
            client,
            task,
            session: AtomicU64::new(1),
            judged: AtomicU64::new(0),
        }
    }

    /// A task ends with the runtime that it was started on.
    fn is_alive(&self) -> bool {
        self.task.as_ref().is_none_or(|task| !task.is_finished())
    }

    /// A number that changes whenever the client has connected again.
    pub(crate) fn session(&self) -> u64 {
        let mut connections = locked(&self.connections);
        loop {
            match connections.try_recv() {
                Ok(_) | Err(TryRecvError::Lagged(_)) => {
                    self.session.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => return self.session.load(Ordering::Relaxed),
            }
        }
    }

    /// Whether the server of this session has not been judged yet.
    pub(crate) fn is_unjudged(&self) -> bool {
        self.judged.load(Ordering::Relaxed) != self.session()
    }

    pub(crate) fn note_judged(&self, session: u64) {
        self.judged.store(session, Ordering::Relaxed);
    }

    pub(crate) async fn until_connected(&self, at: At, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut errors = self.client.error_rx();
        let mut last = None;
        while self.client.state() != ClientState::Connected {
            let connected = timeout_at(deadline, async {
                tokio::select! {
                    connected = self.client.wait_for_connect() => connected.is_ok(),
                    error = errors.recv() => {
                        if let Ok((error, _)) = error {
                            last = Some(error);
                        }
                        false
                    }
                }
            });
            match connected.await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(_) => return Err(at.not_connected(limit, last.as_ref())),
            }
            match &last {
                Some(error) if [FredKind::Auth, FredKind::Config].contains(error.kind()) => {
                    return Err(at.refused_login(error));
                }
                _ => {}
            }
            if !self.is_alive() {
                return Err(at.not_connected(limit, last.as_ref()));
            }
        }
        Ok(())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The client's task would keep its connection for ever.
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
