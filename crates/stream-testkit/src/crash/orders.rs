//! What a child process is told to do, as one environment variable.

use std::{env, path::PathBuf};

use stream_core::QueueName;

/// The variable that makes a process a child: `role TAB queue TAB folder TAB kill point TAB pass`.
pub(super) const CHILD_VARIABLE: &str = "STREAM_TEST_CHILD";

/// The part of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Producer,
    Worker,
    /// The core's own consumer, whose jobs do as they are named.
    Consumer,
}

/// A step of a driver before or after which a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillPoint {
    /// A push was not sent yet.
    BeforePush,
    /// A push was answered, the producer has not noted it.
    AfterPush,
    /// Nothing was taken yet.
    BeforeReserve,
    /// Jobs were taken, none has run.
    AfterReserve,
    /// An extension was not sent yet.
    BeforeExtend,
    /// An extension was answered.
    AfterExtend,
    /// Jobs ran, none is settled.
    BeforeSettle,
    /// Jobs are settled, the worker has not noted it.
    AfterSettle,
}

impl KillPoint {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::BeforePush,
        Self::AfterPush,
        Self::BeforeReserve,
        Self::AfterReserve,
        Self::BeforeExtend,
        Self::AfterExtend,
        Self::BeforeSettle,
        Self::AfterSettle,
    ];

    /// The name, such as `before_push`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforePush => "before_push",
            Self::AfterPush => "after_push",
            Self::BeforeReserve => "before_reserve",
            Self::AfterReserve => "after_reserve",
            Self::BeforeExtend => "before_extend",
            Self::AfterExtend => "after_extend",
            Self::BeforeSettle => "before_settle",
            Self::AfterSettle => "after_settle",
        }
    }

    pub(super) const fn role(self) -> Role {
        match self {
            Self::BeforePush | Self::AfterPush => Role::Producer,
            _ => Role::Worker,
        }
    }
}

impl Role {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Worker => "worker",
            Self::Consumer => "consumer",
        }
    }
}

/// Everything that a child is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) role: Role,
    pub(super) queue: QueueName,
    pub(super) folder: PathBuf,
    /// Where it kills itself, and at which pass of that point, counted from 1.
    pub(super) kill: Option<(KillPoint, u32)>,
}

impl Orders {
    /// The orders of this process, if it is a child.
    pub(super) fn from_env() -> Option<Self> {
        let text = env::var(CHILD_VARIABLE).ok()?;
        Some(Self::parse(&text).unwrap_or_else(|| panic!("{CHILD_VARIABLE} cannot be read: {text:?}")))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('\t');
        let role = fields.next()?;
        let role = [Role::Producer, Role::Worker, Role::Consumer]
            .into_iter()
            .find(|known| known.as_str() == role)?;
        let queue = QueueName::new(fields.next()?).ok()?;
        let folder = PathBuf::from(fields.next()?);
        let kill = match fields.next() {
            None => None,
            Some(point) => {
                let point = KillPoint::ALL.into_iter().find(|known| known.as_str() == point)?;
                Some((point, fields.next()?.parse().ok()?))
            }
        };
        Some(Self { role, queue, folder, kill })
    }

    pub(super) fn to_text(&self) -> String {
        let folder = self.folder.to_str().expect("temporary folders have UTF-8 names");
        let mut text = format!("{}\t{}\t{folder}", self.role.as_str(), self.queue);
        if let Some((point, pass)) = self.kill {
            text += &format!("\t{}\t{pass}", point.as_str());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_they_were_written() {
        let plain = Orders {
            role: Role::Worker,
            queue: QueueName::new("jobs").expect("legal"),
            folder: PathBuf::from("/tmp/a folder"),
            kill: None,
        };
        let deadly = Orders { kill: Some((KillPoint::AfterSettle, 3)), ..plain.clone() };
        assert_eq!(Orders::parse(&plain.to_text()), Some(plain));
        assert_eq!(Orders::parse(&deadly.to_text()), Some(deadly));
    }
}
