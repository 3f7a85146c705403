//! The guest with the load, and dom0's clocks beside it.

use crate::backend::run;
use anyhow::{Context, Result, bail, ensure};
use benches::results::Phase;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};
use xen_ctrl::{DomId, Xenctrl};

const NAME: &str = "disk";
const CONSOLE: &str = "/tmp/console/guest-disk.log";
/// Often enough for the second of silence around each phase.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(240);

/// dom0's clocks.
struct Clocks {
    time: Instant,
    processor: Duration,
}

impl Clocks {
    fn look(xen: &Xenctrl) -> Result<Self> {
        let processor = xen.domain(DomId::ZERO).info()?.cpu_time;
        Ok(Self { time: Instant::now(), processor })
    }
}

/// A running guest, which waits for its disk. It ends with this.
pub(crate) struct Guest {
    pub(crate) domain: String,
}

impl Guest {
    pub(crate) fn start(load: &str) -> Result<Self> {
        let program = load.rsplit('/').next().context("no program")?;
        let command = format!("/t/{program} xvda");
        let arguments = ["start", NAME, "--pv", "--memory", "256", "--file", load, "--", &command];
        Ok(Self { domain: run("guest", &arguments)? })
    }

    /// Watches it until it ends, and lets it go.
    #[expect(clippy::unused_self, reason = "the guest's end belongs to it")]
    pub(crate) fn watch(self) -> Result<Vec<Phase>> {
        let xen = Xenctrl::open()?;
        let deadline = Instant::now() + PATIENCE;
        let mut phases: Vec<Phase> = Vec::new();
        let mut begun: Option<(String, Clocks)> = None;
        let mut idle = 0.0;
        let mut seen = 0;
        loop {
            ensure!(Instant::now() < deadline, "the guest does not end: {}", console());
            let text = console();
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            for line in text[seen..whole].lines() {
                if let Some((_, name)) = line.split_once("@@disk begin ") {
                    begun = Some((name.trim().to_owned(), Clocks::look(&xen)?));
                } else if let Some((_, figures)) = line.split_once("@@disk end ") {
                    let (name, start) = begun.take().context("the end of nothing")?;
                    let end = Clocks::look(&xen)?;
                    let share = used(&start, &end) / end.time.duration_since(start.time).as_secs_f64();
                    if name == "idle" {
                        idle = share;
                    } else {
                        phases.push(phase(name, figures, &start, &end, idle)?);
                    }
                } else if line.contains("@@GUEST EXIT 0") {
                    return Ok(phases);
                } else if line.contains("@@GUEST EXIT") || line.contains("Kernel panic") {
                    bail!("the guest failed: {text}");
                }
            }
            seen = whole;
            sleep(LOOK_INTERVAL);
        }
    }
}

fn console() -> String {
    String::from_utf8_lossy(&fs::read(CONSOLE).unwrap_or_default()).into_owned()
}

fn used(start: &Clocks, end: &Clocks) -> f64 {
    end.processor.saturating_sub(start.processor).as_secs_f64()
}

/// A phase from what the guest said at its end: `REQUESTS BYTES NANOSECONDS`. `idle` is dom0's share of the processor at rest.
fn phase(name: String, figures: &str, start: &Clocks, end: &Clocks, idle: f64) -> Result<Phase> {
    let mut figures = figures.split_whitespace().map(str::parse::<u64>);
    let mut next = || anyhow::Ok(figures.next().context("a figure is missing")??);
    let (requests, request_bytes, nanoseconds) = (next()?, next()?, next()?);
    let dom0_seconds = used(start, end) - idle * end.time.duration_since(start.time).as_secs_f64();
    let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
    Ok(Phase { name, requests, request_bytes, seconds, dom0_seconds })
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It has ended, as a rule.
        let _ = run("guest", &["stop", NAME]);
    }
}
