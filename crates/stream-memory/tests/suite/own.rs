//! What only a store in memory does.
