//! Each fault of the proxy is seen by a client and a small echo server.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use stream_testkit::proxy::{Direction, Proxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// How long something must not come before it counts as held back.
const ABSENCE: Duration = Duration::from_millis(150);
/// How long something may take that has to come.
const LIMIT: Duration = Duration::from_secs(5);

/// An echo server behind a proxy, with a client in front of it.
struct Scene {
    proxy: Proxy,
    /// Bytes that the server has received.
    received: Arc<AtomicU64>,
    client: TcpStream,
}

impl Scene {
    async fn new() -> Self {
        let received = Arc::new(AtomicU64::new(0));
        let proxy = Proxy::start(echo(received.clone()).await).await.expect("the proxy starts");
        let mut client = TcpStream::connect(proxy.address()).await.expect("connected");
        assert_eq!(ask(&mut client, "hello").await.expect("answered"), "hello");
        Self { proxy, received, client }
    }

    async fn another(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.proxy.address()).await
    }
}

/// Starts a server that sends back what it receives and closes after the client has.
async fn echo(received: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let received = received.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
                    received.fetch_add(bytes as u64, Ordering::SeqCst);
                    if stream.write_all(&buffer[..bytes]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Sends a text and reads as many bytes.
async fn ask(client: &mut TcpStream, text: &str) -> io::Result<String> {
    client.write_all(text.as_bytes()).await?;
    read(client, text.len()).await
}

async fn read(client: &mut TcpStream, bytes: usize) -> io::Result<String> {
    let mut answer = vec![0; bytes];
    timeout(LIMIT, client.read_exact(&mut answer)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(String::from_utf8(answer).expect("UTF-8"))
}

/// Asserts that nothing comes, neither bytes nor an end.
async fn assert_silent(client: &mut TcpStream) {
    let answer = timeout(ABSENCE, client.read(&mut [0; 1])).await;
    assert!(answer.is_err(), "something came: {answer:?}");
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn everything_is_passed_and_counted() {
    let mut scene = Scene::new().await;
    assert_eq!(ask(&mut scene.client, "again").await.expect("answered"), "again");
    let traffic = scene.proxy.traffic();
    assert_eq!((traffic.connections, traffic.open), (1, 1));
    assert_eq!((traffic.requests.bytes, traffic.replies.bytes, traffic.bytes_eaten), (10, 10, 0));
    assert_eq!((traffic.requests.chunks, traffic.replies.chunks), (2, 2));
}

#[tokio::test]
async fn end_of_the_client_reaches_the_server_and_ends_the_connection() {
    let mut scene = Scene::new().await;
    scene.client.shutdown().await.expect("shut");
    assert_eq!(scene.client.read(&mut [0; 1]).await.expect("the end"), 0);
    wait_until("the end of the connection", || scene.proxy.traffic().open == 0).await;
}

#[tokio::test]
async fn delay_holds_each_direction_that_long() {
    let mut scene = Scene::new().await;
    let (there, back) = (Duration::from_millis(60), Duration::from_millis(40));
    for (requests, replies) in [(there, Duration::ZERO), (Duration::ZERO, back), (there, back)] {
        scene.proxy.delay(requests, replies);
        let start = Instant::now();
        ask(&mut scene.client, "slow").await.expect("answered");
        assert!(start.elapsed() >= requests + replies, "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn trickle_passes_one_byte_after_the_other() {
    let mut scene = Scene::new().await;
    scene.proxy.trickle(Duration::from_millis(10));
    let start = Instant::now();
    assert_eq!(ask(&mut scene.client, "drop by drop").await.expect("answered"), "drop by drop");
    assert!(start.elapsed() >= Duration::from_millis(11 * 10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn cut_ends_every_connection_and_lets_new_ones_in() {
    let mut scene = Scene::new().await;
    timeout(LIMIT, scene.proxy.cut()).await.expect("everything is closed");
    assert_eq!(scene.proxy.traffic().open, 0);
    assert_eq!(scene.client.read(&mut [0; 1]).await.expect("an orderly end"), 0);
    let mut client = scene.another().await.expect("connected");
    assert_eq!(ask(&mut client, "back").await.expect("answered"), "back");
}

#[tokio::test]
async fn reset_is_seen_as_a_reset() {
    let mut scene = Scene::new().await;
    scene.proxy.reset().await;
    let error = scene.client.read(&mut [0; 1]).await.expect_err("a reset is an error");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let mut client = scene.another().await.expect("connected");
    assert_eq!(ask(&mut client, "back").await.expect("answered"), "back");
}

#[tokio::test]
async fn refusal_turns_new_clients_away_and_keeps_old_ones() {
    let mut scene = Scene::new().await;
    timeout(LIMIT, scene.proxy.refuse()).await.expect("the port is closed");
    let error = scene.another().await.expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(ask(&mut scene.client, "still").await.expect("answered"), "still");
    scene.proxy.pass().await;
    let mut client = scene.another().await.expect("connected");
    assert_eq!(ask(&mut client, "back").await.expect("answered"), "back");
}

#[tokio::test]
async fn black_hole_holds_everything_until_it_is_passed() {
    let mut scene = Scene::new().await;
    scene.proxy.black_hole();
    let mut late = scene.another().await.expect("a hole accepts");
    scene.client.write_all(b"held").await.expect("sent");
    late.write_all(b"late").await.expect("sent");
    assert_silent(&mut scene.client).await;
    assert_silent(&mut late).await;
    assert_eq!(scene.received.load(Ordering::SeqCst), 5, "the server got more than the greeting");
    scene.proxy.pass().await;
    assert_eq!(read(&mut scene.client, 4).await.expect("answered"), "held");
    assert_eq!(read(&mut late, 4).await.expect("answered"), "late");
}

#[tokio::test]
async fn black_hole_can_be_cut() {
    let mut scene = Scene::new().await;
    scene.proxy.black_hole();
    let mut late = scene.another().await.expect("a hole accepts");
    wait_until("the second connection", || scene.proxy.traffic().open == 2).await;
    scene.proxy.cut().await;
    assert_eq!(scene.client.read(&mut [0; 1]).await.expect("the end"), 0);
    assert_eq!(late.read(&mut [0; 1]).await.expect("the end"), 0);
}

#[tokio::test]
async fn eaten_replies_never_arrive_but_the_requests_do() {
    let mut scene = Scene::new().await;
    scene.proxy.eat_replies();
    scene.client.write_all(b"gone").await.expect("sent");
    wait_until("the request", || scene.received.load(Ordering::SeqCst) == 9).await;
    assert_silent(&mut scene.client).await;
    assert_eq!(scene.proxy.traffic().bytes_eaten, 4);
    scene.proxy.pass().await;
    assert_eq!(ask(&mut scene.client, "back").await.expect("answered"), "back");
}

#[tokio::test]
async fn half_closed_replies_end_for_the_client_while_requests_go_on() {
    let mut scene = Scene::new().await;
    scene.proxy.half_close(Direction::Replies);
    assert_eq!(scene.client.read(&mut [0; 1]).await.expect("the end of replies"), 0);
    scene.client.write_all(b"more").await.expect("sent");
    wait_until("the request", || scene.received.load(Ordering::SeqCst) == 9).await;
}

#[tokio::test]
async fn half_closed_requests_end_for_the_server() {
    let mut scene = Scene::new().await;
    scene.proxy.half_close(Direction::Requests);
    // The server closes in answer, and that end is passed on.
    assert_eq!(scene.client.read(&mut [0; 1]).await.expect("the end"), 0);
    wait_until("the end of the connection", || scene.proxy.traffic().open == 0).await;
}

#[tokio::test]
async fn everything_ends_when_the_proxy_is_dropped() {
    let mut scene = Scene::new().await;
    let address = scene.proxy.address();
    drop(scene.proxy);
    let end = timeout(LIMIT, scene.client.read(&mut [0; 1])).await.expect("the connection ends");
    assert!(matches!(end, Ok(0) | Err(_)));
    let deadline = Instant::now() + LIMIT;
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "the port is still open");
    }
}

#[tokio::test]
async fn client_of_a_server_that_is_gone_is_let_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nobody = listener.local_addr().expect("bound");
    drop(listener);
    let proxy = Proxy::start(nobody).await.expect("the proxy starts");
    let mut client = TcpStream::connect(proxy.address()).await.expect("the proxy accepts");
    let end = timeout(LIMIT, client.read(&mut [0; 1])).await.expect("it ends");
    assert!(matches!(end, Ok(0) | Err(_)));
}
