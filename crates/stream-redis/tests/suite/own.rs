//! What this driver promises beside the contract.

mod config;
mod single;
