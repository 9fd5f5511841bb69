//! netpath: where a packet's time goes, hop by hop, and why.
//!
//! Data flows one way:
//!
//! ```text
//! kernel ─chunks─▶ decode ─pieces─▶ flight ─flights─▶ ledger ─rows─▶ snapshot ─▶ view
//!   ▲                                                    ▲
//!  topo (whose packets are wanted)              topo, hooks (what marks mean)
//! ```
//!
//! From decode to ledger nothing does I/O or reads a clock. Only [`kernel`] talks to the kernel
//! about programs; views see a [`snapshot::Snapshot`] and nothing else.
//!
//! This is the command's inside, and public for its tests and benchmarks. What versions promise is the
//! command line, the JSON report and that recordings can be read, not these modules.

mod backend;
pub mod cli;
mod clock;
pub mod decode;
#[cfg(test)]
mod docs;
mod errors;
pub mod explain;
pub mod facts;
pub mod fail_if;
pub mod filter;
pub mod flight;
pub mod hooks;
pub mod host;
pub mod inventory;
pub mod kernel;
pub mod lab;
pub mod ledger;
pub mod live;
pub mod netns;
pub mod packet;
pub mod pipeline;
mod priority;
pub mod recording;
pub mod replay;
pub mod report;
pub mod sample;
pub mod serving;
pub mod session;
pub mod snapshot;
pub mod spec;
#[cfg(test)]
mod testing;
pub mod topo;
pub mod tui;
pub mod units;
pub mod view;
