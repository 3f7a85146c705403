//! Measures what an operation costs: with these crates, with the C libraries of the running Xen, and as the bare system
//! call.
//!
//! The program `bench` runs in dom0 and prints a [`results::Run`]; the program `report` makes a table and a chart of
//! several of them. An operation is a few lines in one of the files in `operations/`.

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

pub use guest::Guest;
pub use measure::run;
pub use system_calls::SystemCalls;
