//! Measures what an operation costs: with these crates, with the C libraries of the running Xen, and as the bare system
//! call.
//!
//! The programs print [`results::Measured`]; the program `report` makes tables and a chart of several of them. An operation
//! is a few lines in one of the files in `operations/`.

mod c;
mod domain;
mod floor;
mod guest;
mod measure;
mod operation;
mod operations;
pub mod report;
pub mod results;
mod system_calls;
pub mod threads;

pub use domain::BareDomain;
pub use guest::Guest;
pub use measure::run;
pub use system_calls::SystemCalls;
