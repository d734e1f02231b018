//! What happens when answers are lost on the way, and when the broker itself stops, freezes or runs short.

mod answers;
mod broker;
mod load;
