//! On one server: what it may refuse, what others may do to it, what its answers are worth, how it wakes.

mod backlog;
mod durability;
mod leftovers;
mod refusals;
mod tampering;
mod waking;
