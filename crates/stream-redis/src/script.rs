//! The scripts: each is one atomic step on one queue.

use std::sync::LazyLock;

use sha1::{Digest, Sha1};

/// A script and the digest that a server knows it by.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) text: &'static str,
    pub(crate) digest: LazyLock<String>,
}

macro_rules! script {
    ($name:ident, $($text:expr),+) => {
        pub(crate) static $name: Script = Script {
            text: concat!($($text),+),
            digest: LazyLock::new(|| digest(concat!($($text),+))),
        };
    };
}

script!(PUSH, include_str!("scripts/push.lua"));
script!(PUSH_ANY, include_str!("scripts/push_any.lua"));
script!(RESERVE, "#!lua flags=allow-oom\nlocal limit = nil\n", include_str!("scripts/reserve.lua"));
script!(
    RESERVE_LIMITED,
    "#!lua flags=allow-oom\n",
    include_str!("scripts/limit.lua"),
    include_str!("scripts/reserve.lua")
);
script!(FINISH, include_str!("scripts/finish.lua"));
script!(SETTLE, include_str!("scripts/settle.lua"));
script!(EXTEND, include_str!("scripts/extend.lua"));
script!(PROBE, include_str!("scripts/probe.lua"));
script!(DEPTH, include_str!("scripts/depth.lua"));
script!(CLEAR, include_str!("scripts/clear.lua"));
script!(LETTERS, include_str!("scripts/letters.lua"));
script!(LAST_LETTER, include_str!("scripts/last_letter.lua"));
script!(REVIVE, include_str!("scripts/revive.lua"));
script!(REMOVE, include_str!("scripts/remove.lua"));

fn digest(text: &str) -> String {
    Sha1::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
