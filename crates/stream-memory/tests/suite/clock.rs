//! On the clock of tokio, paused.
