//! `bench UNIT [FILTER]`: measures, in dom0, and prints the results as JSON. The unit is `instructions` on a machine whose
//! clock counts them, and `nanoseconds` on others. See `cargo xen bench`.

#[cfg(not(target_feature = "crt-static"))]
mod allocations;

use anyhow::{Result, bail};
#[cfg(not(target_feature = "crt-static"))]
use {
    benches::results::{Measured, Unit},
    std::env,
};

#[cfg(target_feature = "crt-static")]
fn main() -> Result<()> {
    bail!("this program is linked statically, and so cannot load the C libraries; see `cargo xen bench`")
}

#[cfg(not(target_feature = "crt-static"))]
fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let unit = match arguments.next().as_deref() {
        Some("instructions") => Unit::Instructions,
        Some("nanoseconds") => Unit::Nanoseconds,
        _ => bail!("usage: bench instructions|nanoseconds [FILTER]"),
    };
    let filter = arguments.next().unwrap_or_default();
    let run = benches::run(unit, &filter, allocations::count)?;
    Ok(Measured::Operations(run).print()?)
}
