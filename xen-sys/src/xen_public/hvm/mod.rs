//! What HVM and PVH domains have, on Arm all: `xen/include/public/hvm/` and `arch-x86/hvm/`.

mod context;
#[cfg(target_arch = "x86_64")]
mod cpu_x86;
mod dm_interrupts;
mod dm_op;
mod ioreq;
mod memory_type;
mod param_ids;
mod params;
mod save;

pub use context::*;
#[cfg(target_arch = "x86_64")]
pub use cpu_x86::*;
pub use dm_interrupts::*;
pub use dm_op::*;
pub use ioreq::*;
pub use memory_type::*;
pub use param_ids::*;
pub use params::*;
pub use save::*;
