//! One HTTP request on a connection of its own.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, bail};

/// What is asked.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// User and password.
    pub(crate) login: Option<(&'a str, &'a str)>,
    pub(crate) form: &'a str,
}

/// Sends it to loopback and returns the body of a successful answer.
pub(crate) fn send(port: u16, request: &Request<'_>) -> Result<String> {
    let mut stream = super::connect(port)?;
    stream.write_all(head(port, request).as_bytes()).context("cannot send a request")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("no whole answer")?;
    body(&String::from_utf8_lossy(&answer)).map(str::to_owned)
}

fn head(port: u16, request: &Request<'_>) -> String {
    let Request { method, path, login, form } = request;
    let login = login.map(|(user, password)| {
        format!("Authorization: Basic {}\r\n", base64(format!("{user}:{password}").as_bytes()))
    });
    format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{}Content-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
        login.unwrap_or_default(),
        form.len()
    )
}

fn body(answer: &str) -> Result<&str> {
    let status = answer.split_whitespace().nth(1).context("the answer is not HTTP")?;
    if !status.starts_with('2') {
        bail!("the answer is {}", answer.lines().next().unwrap_or_default());
    }
    Ok(answer.split_once("\r\n\r\n").map_or("", |(_, body)| body))
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let encode = |group: &[u8]| -> String {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let sign = |index: usize| match index <= group.len() {
            true => char::from(SIGNS[(bits >> (18 - 6 * index)) as usize & 63]),
            false => '=',
        };
        (0..4).map(sign).collect()
    };
    bytes.chunks(3).map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded() {
        assert_eq!(base64(b"guest:guest"), "Z3Vlc3Q6Z3Vlc3Q=");
        assert_eq!(base64(b"a"), "YQ==");
        assert_eq!(base64(b"abc"), "YWJj");
    }

    #[test]
    fn a_body_follows_a_good_status_only() {
        assert_eq!(body("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}").unwrap(), "{}");
        assert!(body("HTTP/1.1 401 Unauthorized\r\n\r\n{}").unwrap_err().to_string().contains("401"));
        assert!(body("").is_err());
    }

    #[test]
    fn a_login_is_sent_only_where_given() {
        let request = Request { method: "GET", path: "/x", login: Some(("a", "b")), form: "" };
        assert!(head(1, &request).contains("\r\nAuthorization: Basic YTpi\r\n"));
        assert!(!head(1, &Request { login: None, ..request }).contains("Authorization"));
    }
}
