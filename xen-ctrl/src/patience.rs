//! Waiting for Xen, which says that it is busy, with a bound.

use std::thread;
use std::time::Duration;

use crate::Error;

/// How long to wait in between.
const PAUSE: Duration = Duration::from_millis(10);

/// Repeats an attempt, `tries` times at most, as long as it fails with one of these error numbers.
pub(crate) fn patiently<T>(
    tries: u32,
    busy: &[i32],
    mut attempt: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    for _ in 1..tries {
        match attempt() {
            Err(error) if error.errno().is_some_and(|errno| busy.contains(&errno)) => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    attempt()
}
