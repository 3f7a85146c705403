//! Watchdogs of this domain.

use std::time::Duration;

use xen_sys::xen_public::sched::SetWatchdog;

use crate::{Error, Xenctrl};

/// A timer of Xen's that shuts this domain down (in dom0: restarts the host) unless it is [fed](Watchdog::feed) in time.
///
/// It goes on when this is dropped, or the program ends: that is what it is for. [`Watchdog::stop`] ends it.
#[derive(Debug)]
#[must_use = "the domain is shut down unless the watchdog is fed"]
pub struct Watchdog<'a> {
    xen: &'a Xenctrl,
    id: u32,
}

impl Xenctrl {
    /// Starts a watchdog, with this time-out, rounded up to whole seconds (with 0, Xen would shut the domain down at once). A
    /// domain has two.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `ENOSPC` if both run.
    #[doc(alias = "xc_watchdog")]
    #[doc(alias = "SCHEDOP_watchdog")]
    pub fn start_watchdog(&self, timeout: Duration) -> Result<Watchdog<'_>, Error> {
        let answer = self.call(None, &SetWatchdog { id: 0, timeout: seconds(timeout) })?;
        Ok(Watchdog { xen: self, id: u32::try_from(answer.value).unwrap_or(0) })
    }
}

impl Watchdog<'_> {
    /// Starts it anew, with this time-out, rounded up to whole seconds.
    ///
    /// # Errors
    ///
    /// [`Error::Call`]; then it goes on as it was.
    pub fn feed(&self, timeout: Duration) -> Result<(), Error> {
        self.set(seconds(timeout))
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// [`Error::Call`]; then it goes on.
    pub fn stop(self) -> Result<(), Error> {
        self.set(0)
    }

    fn set(&self, timeout: u32) -> Result<(), Error> {
        self.xen.call(None, &SetWatchdog { id: self.id, timeout }).map(drop)
    }
}

/// Whole seconds, never 0: that would end the watchdog, or the domain.
fn seconds(timeout: Duration) -> u32 {
    let begun = u64::from(timeout.subsec_nanos() > 0);
    u32::try_from(timeout.as_secs().saturating_add(begun).max(1)).unwrap_or(u32::MAX)
}
