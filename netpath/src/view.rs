//! Views: a snapshot as people and programs see it. They do no arithmetic beyond units.

pub mod listing;
pub mod summary;
pub mod table;
pub mod topo;
