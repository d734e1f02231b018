//! What an operator does to a broker: through its management interface and its command line.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Command,
};

use stream_testkit::services::PrivateServer;

use super::VARIABLE;

const MANAGEMENT: &str = "STREAM_TEST_AMQP_MANAGEMENT_URL";

/// An operator of a private broker.
#[derive(Debug)]
pub(crate) struct Management {
    host: String,
    login: String,
    port: String,
}

impl Management {
    pub(crate) fn of(server: &PrivateServer) -> Self {
        let url = server.variable(MANAGEMENT);
        let (login, host) = url.strip_prefix("http://").unwrap().rsplit_once('@').unwrap();
        let port = server.variable(VARIABLE).rsplit_once(':').unwrap().1.split('/').next().unwrap();
        Self { host: host.to_owned(), login: base64(login.as_bytes()), port: port.to_owned() }
    }

    /// Closes every connection; how many there were.
    pub(crate) fn close_connections(&self) -> usize {
        // The interface learns of connections with its next look at them.
        for _ in 0..100 {
            let names = self.connections();
            if !names.is_empty() {
                let encoded = names.iter().map(|name| name.replace(' ', "%20").replace('>', "%3E"));
                encoded.for_each(|name| drop(self.ask("DELETE", &format!("/api/connections/{name}"))));
                return names.len();
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        0
    }

    fn connections(&self) -> Vec<String> {
        let answer = self.ask("GET", "/api/connections?columns=name");
        let names = answer.split("\"name\":\"").skip(1);
        names.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    }

    /// Sets the share of the machine's memory above which the broker takes no messages.
    pub(crate) fn set_memory_limit(&self, share: &str) {
        self.control(&["set_vm_memory_high_watermark", share]);
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let Self { host, login, .. } = self;
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Basic {login}\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 ") || answer.contains(" 204 ") || answer.contains(" 404 "), "{answer}");
        answer
    }

    /// Runs the broker's own command line, as the broker itself was started.
    fn control(&self, words: &[&str]) {
        let environment = self.environment();
        let program = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmqctl");
        let output = Command::new(program).args(words).envs(environment).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// That of the broker's process, which nobody tells: found by its port.
    fn environment(&self) -> Vec<(String, String)> {
        let wanted = format!("RABBITMQ_NODE_PORT={}", self.port);
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(bytes) = fs::read(process.path().join("environ")) else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let variables: Vec<&str> = text.split('\0').collect();
            if variables.contains(&wanted.as_str()) {
                let kept = [
                    "HOME",
                    "PATH",
                    "ERL_EPMD_ADDRESS",
                    "ERL_EPMD_PORT",
                    "RABBITMQ_NODENAME",
                    "RABBITMQ_CONF_ENV_FILE",
                ];
                let pairs = variables.iter().filter_map(|variable| variable.split_once('='));
                let pairs = pairs.filter(|(name, _)| kept.contains(name));
                return pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            }
        }
        panic!("no broker listens on {}", self.port);
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0_u32, |number, at| number << 8 | u32::from(*chunk.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * at) & 63) as usize] as char;
            text.push(if at <= chunk.len() { digit } else { '=' });
        }
    }
    text
}
