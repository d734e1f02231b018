//! Redis' protocol, as far as commands with one line, number or text as their answer need it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail};

/// A connection that has logged in.
#[derive(Debug)]
pub(crate) struct Redis(BufReader<TcpStream>);

impl Redis {
    pub(crate) fn connect(port: u16, password: &str) -> Result<Self> {
        let mut redis = Self(BufReader::new(super::connect(port)?));
        redis.ask(&["AUTH", password])?;
        Ok(redis)
    }

    /// Sends one command and returns its answer as text.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Result<String> {
        self.0.get_mut().write_all(encoded(words).as_bytes()).context("cannot send a command")?;
        let mut line = String::new();
        self.0.read_line(&mut line).context("no answer")?;
        let line = line.trim_end();
        match line.split_at_checked(1) {
            Some(("+" | ":", text)) => Ok(text.to_owned()),
            Some(("$", length)) => self.text(length.parse().context("an answer without a length")?),
            Some(("-", error)) => bail!("{} answers {error}", words[0]),
            _ => bail!("{} gets an answer that is not understood: {line}", words[0]),
        }
    }

    fn text(&mut self, length: usize) -> Result<String> {
        let mut text = vec![0; length + 2];
        self.0.read_exact(&mut text).context("an answer was cut short")?;
        text.truncate(length);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The value of `name:value` in what `INFO` and `CLUSTER INFO` answer.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

fn encoded(words: &[&str]) -> String {
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), words.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_texts() {
        assert_eq!(encoded(&["SET", "a", "12"]), "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n12\r\n");
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let info = "# Server\r\nredis_version_x:1\r\nredis_version:7.0.15\r\n";
        assert_eq!(field(info, "redis_version"), Some("7.0.15"));
        assert_eq!(field(info, "redis"), None);
    }
}
