//! What this driver promises beside the contract.

mod broker;
mod config;
mod delay;
mod exchange;
mod foreign;
