//! The command `zvfs`, as a user runs it: every test starts it as a process, and so shares nothing with the others.
//!
//! One program: its tests run beside each other, and most of them wait for others than the processors.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "support/broker.rs"]
mod broker_process;
#[path = "support/machines.rs"]
mod machines;
#[path = "support/sort.rs"]
mod sort;
mod support;

mod blocks;
mod broker;
mod check;
mod compile;
mod conformance;
mod copying;
mod digests;
mod discovery;
mod documents;
mod ends;
mod examples;
mod exec;
mod files;
mod folders;
mod graph;
mod http;
mod install;
mod interpreters;
mod jobs;
mod libc;
mod mesh;
mod packages;
mod partial;
mod policy;
mod rules;
mod run;
mod sanitizers;
mod settings;
mod shell;
mod signals;
mod words;
