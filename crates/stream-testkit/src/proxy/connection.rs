//! One connection through the proxy: two pumps, and the faults that strike them.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::sleep,
};

use super::{Control, Direction, traffic::Counters};

/// The largest chunk, in bytes.
const CHUNK: usize = 16 * 1024;

/// Forwards both ways until both have ended, one has failed, or the connection is to close.
pub(super) async fn serve(
    number: u64,
    mut client: TcpStream,
    upstream: SocketAddr,
    control: watch::Receiver<Control>,
    counters: &Counters,
) {
    let connected = tokio::select! {
        closes_by_reset = until_closed(number, control.clone()) => return close(&[&client], closes_by_reset),
        connected = connect(upstream, control.clone()) => connected,
    };
    // A client of a server that is not there is let go.
    let Ok(mut server) = connected else { return };
    let closes_by_reset = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let pump = |direction| Pump { number, direction, control: control.clone(), counters };
        let both = async {
            tokio::try_join!(
                pump(Direction::Requests).run(from_client, to_server),
                pump(Direction::Replies).run(from_server, to_client),
            )
        };
        tokio::select! {
            closes_by_reset = until_closed(number, control.clone()) => closes_by_reset,
            _ = both => return,
        }
    };
    close(&[&client, &server], closes_by_reset);
}

/// Waits until the connection is to close; whether by reset.
async fn until_closed(number: u64, mut control: watch::Receiver<Control>) -> bool {
    let order = control.wait_for(|control| number < control.closed_below).await;
    order.is_ok_and(|control| control.closes_by_reset)
}

fn close(streams: &[&TcpStream], closes_by_reset: bool) {
    if closes_by_reset {
        for stream in streams {
            // A socket that is gone already needs no reset.
            let _ = stream.set_zero_linger();
        }
    }
}

async fn connect(upstream: SocketAddr, mut control: watch::Receiver<Control>) -> io::Result<TcpStream> {
    until(&mut control, |control| !control.is_black_hole).await?;
    let server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// One direction of a connection.
struct Pump<'a> {
    number: u64,
    direction: Direction,
    control: watch::Receiver<Control>,
    counters: &'a Counters,
}

impl Pump<'_> {
    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        while let Some(bytes) = self.read(&mut from, &mut buffer).await? {
            self.counters.read(self.direction, bytes);
            self.forward(&buffer[..bytes], &mut to).await?;
        }
        to.shutdown().await
    }

    /// The size of the next chunk; none if this direction is over.
    async fn read(&mut self, from: &mut ReadHalf<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let (number, direction) = (self.number, self.direction as usize);
        let is_over = |control: &Control| number < control.half_closed_below[direction];
        loop {
            until(&mut self.control, |control| is_over(control) || !control.is_black_hole).await?;
            if is_over(&self.control.borrow()) {
                return Ok(None);
            }
            tokio::select! {
                stopped = until(&mut self.control, |control| is_over(control) || control.is_black_hole) => stopped?,
                bytes = from.read(buffer) => return bytes.map(|bytes| (bytes > 0).then_some(bytes)),
            }
        }
    }

    async fn forward(&mut self, chunk: &[u8], to: &mut WriteHalf<'_>) -> io::Result<()> {
        let delay = self.control.borrow().delays[self.direction as usize];
        if !delay.is_zero() {
            sleep(delay).await;
        }
        // A hole that has opened since holds it as well.
        until(&mut self.control, |control| !control.is_black_hole).await?;
        let control = self.control.borrow().clone();
        if self.direction == Direction::Replies && control.eats_replies {
            self.counters.eat(chunk.len());
            return Ok(());
        }
        let Some(pause) = control.trickle else { return to.write_all(chunk).await };
        for byte in chunk {
            to.write_all(&[*byte]).await?;
            sleep(pause).await;
        }
        Ok(())
    }
}

/// Waits until the control is as wanted; an error once the proxy is gone.
async fn until(
    control: &mut watch::Receiver<Control>,
    wanted: impl FnMut(&Control) -> bool,
) -> io::Result<()> {
    control.wait_for(wanted).await.map(drop).map_err(|_| io::ErrorKind::ConnectionAborted.into())
}
