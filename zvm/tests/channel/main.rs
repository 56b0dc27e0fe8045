//! Channels over scripted providers: quotas, ends and failures, without a guest.

mod ends;
mod opens;
mod reads;
mod rules;
mod shelf;
mod writes;
