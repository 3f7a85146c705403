//! What threads do at the same time, with one handle and with two.

mod real;

pub use real::real;

use crate::results::Rates;
use anyhow::Result;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long the operations of one rate are counted.
const TIME: Duration = Duration::from_millis(200);

/// Each rate is the best of so many.
const ROUNDS: usize = 5;

/// Operations per second of one thread, of two with one handle, and of two with a handle each. `make` makes what a thread
/// does again and again.
///
/// # Errors
///
/// As `make`.
pub fn rates<'a, H: Sync, F: FnMut()>(
    handles: [&'a H; 2],
    make: impl Fn(&'a H) -> Result<F> + Sync,
) -> Result<Rates> {
    let [first, second] = handles;
    let best = |handles: &[&'a H]| {
        let rates = (0..ROUNDS).map(|_| rate(handles, &make)).collect::<Result<Vec<_>>>()?;
        anyhow::Ok(rates.into_iter().fold(0.0, f64::max))
    };
    Ok(Rates { one: best(&[first])?, shared: best(&[first, first])?, apart: best(&[first, second])? })
}

/// Operations per second, by a thread for each handle.
fn rate<'a, H: Sync, F: FnMut()>(
    handles: &[&'a H],
    make: &(impl Fn(&'a H) -> Result<F> + Sync),
) -> Result<f64> {
    let stop = AtomicBool::new(false);
    let begin = Barrier::new(handles.len() + 1);
    let count = |handle: &'a H| {
        let operation = make(handle);
        begin.wait(); // also without an operation: the others would wait for ever
        let mut operation = operation?;
        let mut count: u32 = 0;
        while !stop.load(Ordering::Relaxed) {
            (0..32).for_each(|_| operation());
            count += 32;
        }
        anyhow::Ok(f64::from(count))
    };
    thread::scope(|scope| {
        let threads: Vec<_> = handles.iter().map(|&handle| scope.spawn(|| count(handle))).collect();
        begin.wait();
        let start = Instant::now();
        thread::sleep(TIME);
        stop.store(true, Ordering::Relaxed);
        let elapsed = start.elapsed();
        let done = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        Ok(done.sum::<Result<f64>>()? / elapsed.as_secs_f64())
    })
}
