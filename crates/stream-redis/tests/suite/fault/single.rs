//! On one server.

mod answers;
mod outages;
