//! `threads`: how many operations one and two threads do, in dom0, on one handle and on one each. See `cargo xen bench`.

use anyhow::Result;
use benches::results::Measured;
use benches::threads;

fn main() -> Result<()> {
    Ok(Measured::Threads(threads::real()?).print()?)
}
