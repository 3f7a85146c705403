//! The block backend: serves an image file to a guest as a disk.
//!
//! From the outside in:
//! - [`backend`]: attaches the disk, follows the states of the frontend, and detaches it again.
//! - [`device`] and [`negotiate`]: the disk in xenstore, and what both sides agree on.
//! - [`queue`]: one ring and its thread. It takes all requests that wait and makes a batch of them:
//!   planned (`batch`: checked, cut into pieces), executed (`execute`), and answered with at most one event.
//! - [`window`]: how the guest's data comes within reach: by grant copy, or by mapping.
//! - [`disk`]: the image file, of which only the sectors can be reached.

pub mod backend;
mod batch;
pub mod device;
pub mod disk;
mod execute;
pub mod negotiate;
pub mod queue;
pub mod stats;
pub mod window;
mod workers;

pub use backend::{Options, run};
pub use device::VirtualDevice;
pub use stats::Stats;
pub use window::Transfer;
