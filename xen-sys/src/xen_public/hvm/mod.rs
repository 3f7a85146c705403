//! What HVM and PVH domains have, on Arm all: `xen/include/public/hvm/` and `arch-x86/hvm/`.

#[cfg(target_arch = "x86_64")]
mod cpu_x86;
mod params;
mod save;

#[cfg(target_arch = "x86_64")]
pub use cpu_x86::*;
pub use params::*;
pub use save::*;
