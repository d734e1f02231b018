//! Answers that are lost on the way, and servers that die, freeze and come back under load.

mod cluster;
mod load;
mod single;
