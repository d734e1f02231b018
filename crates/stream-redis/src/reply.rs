//! Reading answers of the server.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

/// What an answer may be read as; none if it is something else.
pub(crate) trait Reply: Sized {
    fn number(&self) -> Option<i64>;
    fn list(self) -> Option<Vec<Frame>>;
    fn bytes(self) -> Option<Bytes>;
    /// A map, or a list of keys and values by turns.
    fn pairs(self) -> Vec<(Bytes, Bytes)>;
    /// The text of an error.
    fn refusal(&self) -> Option<String>;
}

impl Reply for Frame {
    fn number(&self) -> Option<i64> {
        match self {
            Self::Number { data, .. } => Some(*data),
            // Scores come as text; all of ours are whole numbers below 2^53.
            Self::BlobString { data, .. } | Self::SimpleString { data, .. } => {
                let text = std::str::from_utf8(data).ok()?;
                text.parse().ok().or_else(|| Some(text.parse::<f64>().ok()? as i64))
            }
            Self::Double { data, .. } => Some(*data as i64),
            _ => None,
        }
    }

    fn list(self) -> Option<Vec<Frame>> {
        match self {
            Self::Array { data, .. } => Some(data),
            _ => None,
        }
    }

    fn bytes(self) -> Option<Bytes> {
        match self {
            Self::BlobString { data, .. } | Self::SimpleString { data, .. } => Some(data),
            Self::VerbatimString { data, .. } => Some(data),
            _ => None,
        }
    }

    fn pairs(self) -> Vec<(Bytes, Bytes)> {
        let pair = |(key, value): (Frame, Frame)| Some((key.bytes()?, value.bytes()?));
        match self {
            Self::Map { data, .. } => data.into_iter().filter_map(pair).collect(),
            Self::Array { data, .. } => {
                let mut items = data.into_iter();
                std::iter::from_fn(|| Some((items.next()?, items.next()?))).filter_map(pair).collect()
            }
            _ => Vec::new(),
        }
    }

    fn refusal(&self) -> Option<String> {
        match self {
            Self::SimpleError { data, .. } => Some(data.to_string()),
            Self::BlobError { data, .. } => Some(String::from_utf8_lossy(data).into_owned()),
            _ => None,
        }
    }
}
