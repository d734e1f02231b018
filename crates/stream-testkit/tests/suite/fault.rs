//! A private server is a real one: it keeps its data over a crash and answers nothing while frozen.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use stream_testkit::services::PrivateServer;

#[test]
fn private_server_keeps_its_data_over_a_crash_and_answers_nothing_while_frozen() {
    let mut server = match PrivateServer::start("redis") {
        Ok(server) => server,
        Err(skip) => {
            let name = "fault::private_server_keeps_its_data_over_a_crash_and_answers_nothing_while_frozen";
            return skip.report(name);
        }
    };
    let url = server.variable("STREAM_TEST_REDIS_URL").to_owned();
    assert_eq!(ask(&url, "SET key kept").as_deref(), Some("+OK\r\n"));

    server.kill();
    assert_eq!(ask(&url, "GET key"), None);
    server.restart();
    assert_eq!(ask(&url, "GET key").as_deref(), Some("$4\r\nkept\r\n"));

    server.pause();
    assert_eq!(ask(&url, "GET key"), None);
    server.resume();
    assert_eq!(ask(&url, "GET key").as_deref(), Some("$4\r\nkept\r\n"));

    drop(server);
    assert_eq!(ask(&url, "GET key"), None, "it ended with its owner");
}

/// The server's answer to an inline command, or none within half a second.
fn ask(url: &str, command: &str) -> Option<String> {
    let (password, address) = url.strip_prefix("redis://:")?.strip_suffix("/0")?.split_once('@')?;
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    let mut answer = |line: &str| {
        stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
        let mut buffer = [0; 256];
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        Some(String::from_utf8_lossy(&buffer[..read]).into_owned())
    };
    answer(&format!("AUTH {password}")).filter(|said| said.starts_with("+OK"))?;
    answer(command)
}
