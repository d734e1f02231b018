//! What this driver promises beside the contract.

mod cluster;
mod config;
mod single;
