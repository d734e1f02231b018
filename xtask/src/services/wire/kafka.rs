//! Two of Kafka's requests: which versions a broker speaks, and which brokers it knows.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, bail};

const METADATA: u16 = 3;
const API_VERSIONS: u16 = 18;

/// A list of brokers is short; anything longer is not Kafka.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How many brokers this one knows, with a controller among them.
pub(crate) fn brokers(port: u16) -> Result<usize> {
    request(port, API_VERSIONS, 0, &[])?;
    // Version 1 with an empty list of topics: brokers and the controller only.
    let answer = request(port, METADATA, 1, &[0, 0, 0, 0])?;
    parse_brokers(&answer)
        .context("the answer to a metadata request is not understood")?
        .ok_or_else(|| anyhow::anyhow!("the brokers have no controller yet"))
}

fn request(port: u16, key: u16, version: u16, body: &[u8]) -> Result<Vec<u8>> {
    let mut stream = super::connect(port)?;
    stream.write_all(&framed(key, version, body)).context("cannot send a request")?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).context("no answer")?;
    let length = u32::from_be_bytes(length) as usize;
    if !(4..ANSWER_BYTES_MAX).contains(&length) {
        bail!("an answer of {length} bytes is not Kafka's");
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).context("an answer was cut short")?;
    // The request's number comes first.
    Ok(answer.split_off(4))
}

fn framed(key: u16, version: u16, body: &[u8]) -> Vec<u8> {
    const CLIENT: &[u8] = b"xtask";
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(1_u32.to_be_bytes());
    request.extend((CLIENT.len() as u16).to_be_bytes());
    request.extend(CLIENT);
    request.extend(body);
    [&(request.len() as u32).to_be_bytes()[..], &request].concat()
}

/// The number of brokers; `Some(None)` while there is no controller.
fn parse_brokers(answer: &[u8]) -> Option<Option<usize>> {
    let mut rest = answer;
    let count = u32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?) as usize;
    for _ in 0..count {
        let _node = take(&mut rest, 4)?;
        skip_text(&mut rest)?;
        let _port = take(&mut rest, 4)?;
        skip_text(&mut rest)?;
    }
    let controller = i32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
    Some((controller >= 0 && count > 0).then_some(count))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

/// A text with its length before it; -1 is none.
fn skip_text(rest: &mut &[u8]) -> Option<()> {
    let length = i16::from_be_bytes(take(rest, 2)?.try_into().ok()?);
    take(rest, usize::try_from(length).unwrap_or(0)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_length_before_it() {
        let request = framed(API_VERSIONS, 0, &[9]);
        assert_eq!(request, [&[0, 0, 0, 16, 0, 18, 0, 0, 0, 0, 0, 1, 0, 5][..], b"xtask", &[9]].concat());
    }

    #[test]
    fn brokers_are_counted_once_there_is_a_controller() {
        let one = [&[0, 0, 0, 1, 0, 0, 0, 1, 0, 1][..], b"h", &[0, 0, 0x23, 0x84, 0xff, 0xff]].concat();
        let with = |controller: &[u8]| parse_brokers(&[&one, controller].concat());
        assert_eq!(with(&[0, 0, 0, 1]), Some(Some(1)));
        assert_eq!(with(&[0xff, 0xff, 0xff, 0xff]), Some(None));
        assert_eq!(with(&[0]), None);
    }
}
