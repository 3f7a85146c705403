//! What HVM and PVH domains have, on Arm all: `xen/include/public/hvm/` and `arch-x86/hvm/`.

mod dm_interrupts;
mod dm_op;
mod ioreq;

pub use dm_interrupts::*;
pub use dm_op::*;
pub use ioreq::*;
