//! What this host has: who lives in which network namespace, by the names that people use, and how the
//! namespaces hang together.
//!
//! In: processes' cgroups, the files and sockets of container runtimes, the names of namespaces, rtnetlink. Out:
//! a [`Census`] of owners, which gives namespaces their names; what somebody means ([`find`]); a [`Listing`] of
//! all that can be traced. Names come in layers, each of which does without the next: a namespace's own name, its
//! processes' cgroups, the runtimes' files, and their sockets for what is still only a number.

mod answer;
mod api;
mod census;
mod cgroup;
mod choose;
mod formats;
mod listing;
mod owner;
mod processes;
mod runtimes;

pub use census::Census;
pub use choose::{ChooseError, Meant, find, near};
pub use listing::{Entry, Interface, Listing, Stop, Way};
pub use owner::{Container, Owner, Pod, Process};
