//! What is in a file: the last error, if there is one, and the bytes of the envelope as they came.

/// Length of the error plus one; zero for none.
const HEAD: usize = 4;

/// The content of a file.
pub(crate) struct Content {
    pub(crate) error: Option<String>,
    pub(crate) envelope: Vec<u8>,
}

impl Content {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let error = self.error.as_deref().unwrap_or_default().as_bytes();
        // An error has at most 1,000 bytes.
        let head = if self.error.is_some() { error.len() as u32 + 1 } else { 0 };
        [&head.to_be_bytes(), error, &self.envelope].concat()
    }

    /// Bytes that somebody else has cut or spoilt are taken for the envelope, so that they come out as
    /// undecodable and hold back nobody.
    pub(crate) fn read(bytes: Vec<u8>) -> Self {
        Self::split(&bytes).unwrap_or(Self { error: None, envelope: bytes })
    }

    fn split(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let (error, envelope) = match u32::from_be_bytes(head.try_into().ok()?) {
            0 => (None, rest),
            len => {
                let (error, envelope) = rest.split_at_checked(len as usize - 1)?;
                (Some(String::from_utf8(error.to_vec()).ok()?), envelope)
            }
        };
        Some(Self { error, envelope: envelope.to_vec() })
    }
}
