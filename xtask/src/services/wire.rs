//! Just enough of HTTP, RESP, AMQP and Kafka's protocol to ask a server whether it works.

pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod resp;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// A server that works answers sooner.
const LIMIT: Duration = Duration::from_secs(3);

/// A connection to a server on loopback on which nothing waits for ever.
fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), LIMIT);
    let stream = stream.with_context(|| format!("cannot connect to port {port}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Offers AMQP 0-9-1 and expects the server's first method, `connection.start`.
pub(crate) fn greet_amqp(port: u16) -> Result<()> {
    let mut stream = connect(port)?;
    stream.write_all(b"AMQP\x00\x00\x09\x01").context("cannot send the protocol header")?;
    let mut answer = [0; 11];
    stream.read_exact(&mut answer).context("no answer to the protocol header")?;
    // A method frame on channel 0, its length, then class 10 and method 10.
    if answer[..3] != [1, 0, 0] || answer[7..] != [0, 10, 0, 10] {
        bail!("the answer to the protocol header is not connection.start");
    }
    Ok(())
}
