//! Free ports on loopback, chosen once and kept.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::random;

/// Below the ports that Linux hands out to clients (from 32768), or a connection could sit on one while its server is
/// down.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// How long the port of a server that just ended may stay taken.
const RELEASE_LIMIT: Duration = Duration::from_secs(3);

/// Whether a server could listen here now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether somebody listens here.
pub(crate) fn is_open(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Whether the port is free, or is so in a moment.
pub(crate) fn becomes_free(port: u16) -> bool {
    let deadline = Instant::now() + RELEASE_LIMIT;
    loop {
        if is_free(port) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// A free port that is none of `taken`.
pub(crate) fn choose(taken: &BTreeSet<u16>) -> Result<u16> {
    let numbers = random::bytes(2048)?;
    let mut candidates = numbers.chunks_exact(2).map(|pair| in_range(u16::from_le_bytes([pair[0], pair[1]])));
    candidates.find(|port| !taken.contains(port) && is_free(*port)).context("no port is free on loopback")
}

fn in_range(number: u16) -> u16 {
    RANGE.start + number % (RANGE.end - RANGE.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_becomes_a_port_of_the_range() {
        for number in [0, 1, 11_999, 12_000, 40_000, u16::MAX] {
            assert!(RANGE.contains(&in_range(number)), "{number}");
        }
    }

    #[test]
    fn a_port_somebody_listens_on_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_open(port) && !is_free(port));
        drop(listener);
        assert!(becomes_free(port));
    }

    #[test]
    fn a_chosen_port_is_none_of_those_taken() {
        let all_but_a_tenth: BTreeSet<u16> = RANGE.filter(|port| port % 10 != 7).collect();
        assert_eq!(choose(&all_but_a_tenth).unwrap() % 10, 7);
    }
}
