//! Maps frames: one `mmap(2)` and one request, a status for each frame, and another try for those that were paged out.
#![expect(unsafe_code, reason = "sends requests that carry addresses; makes memory of what they filled")]

use crate::Error;
use std::io;
use std::thread;
use std::time::{Duration, Instant};
use xen_sys::linux::own_domain;
use xen_sys::linux::privcmd::{MmapBatchV2, Privcmd};
use xen_sys::xen_public::errno::{EINVAL, ENOENT, EPERM};
use xen_sys::{Access, Device, DomId, Gfn, SharedMemory};

/// How the mapping of one frame ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct FrameStatus(
    /// As the kernel writes it: 0, or a negative error number.
    i32,
);

impl FrameStatus {
    const PAGED_OUT: Self = Self(-ENOENT);

    /// Whether the frame is mapped.
    #[must_use]
    pub const fn is_mapped(self) -> bool {
        self.0 == 0
    }

    /// Whether Xen had paged the frame out, and it did not come back in time.
    #[must_use]
    pub fn is_paged_out(self) -> bool {
        self == Self::PAGED_OUT
    }

    /// Xen's error number, or `None` for a frame that is mapped.
    #[must_use]
    pub const fn errno(self) -> Option<i32> {
        if self.is_mapped() { None } else { Some(self.0.saturating_neg()) }
    }

    /// The status as an error.
    ///
    /// # Errors
    ///
    /// Why the frame is not mapped.
    pub fn result(self) -> io::Result<()> {
        self.errno().map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }
}

/// Whose frames are mapped, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) domain: DomId,
    /// How long to wait for frames that are paged out.
    pub(crate) paged_out_deadline: Duration,
    /// How many frames one mapping of the kernel's holds: at least one, in whole pages of the kernel's.
    pub(crate) frames_per_mapping: usize,
}

/// No frame has a number as high as this, a power of two: a page table has room for 40 bits of it. The kernel cuts longer numbers
/// off, and maps another frame.
const END_OF_FRAMES: u64 = 1 << 40;

/// Calls `body` with `count` default values: on the stack as long as that is reasonable, so that small maps do not
/// allocate.
pub(crate) fn scratch<T: Copy + Default, R>(count: usize, body: impl FnOnce(&mut [T]) -> R) -> R {
    const FEW: usize = 16;
    const SMALL: usize = 512;
    if count <= FEW {
        body(&mut [T::default(); FEW][..count])
    } else if count <= SMALL {
        body(&mut [T::default(); SMALL][..count])
    } else {
        body(&mut vec![T::default(); count])
    }
}

/// Maps all `frames`, or none.
pub(crate) fn map_all<A: Access>(
    device: &Device<Privcmd>,
    plan: Plan,
    frames: &[Gfn],
) -> Result<SharedMemory<A>, Error> {
    scratch(frames.len(), |statuses| {
        // SAFETY: it is handed out below only if every frame is mapped.
        let memory = unsafe { map(device, plan, frames, statuses) }?;
        if are_all_mapped(statuses) {
            return Ok(memory);
        }
        let outcomes = frames.iter().zip(statuses).enumerate();
        for (index, (&gfn, status)) in outcomes {
            status.result().map_err(|source| Error::Frame { domain: plan.domain, index, gfn, source })?;
        }
        Ok(memory)
    })
}

/// Maps those of `frames` that can be mapped, and tells which these are.
///
/// # Safety
///
/// - There is a status for each frame.
/// - Of the memory, no frame is accessed whose status does not say that it is mapped.
pub(crate) unsafe fn map<A: Access>(
    device: &Device<Privcmd>,
    plan: Plan,
    frames: &[Gfn],
    statuses: &mut [FrameStatus],
) -> Result<SharedMemory<A>, Error> {
    let Plan { domain, paged_out_deadline, .. } = plan;
    let count = frames.len();
    if count == 0 || u32::try_from(count).is_err() {
        return Err(Error::Count { call: "mapping", count });
    }
    let failed = |source: io::Error| match source.raw_os_error() {
        Some(EPERM) => Error::restriction(domain),
        _ => Error::Map { domain, count, source },
    };
    // SAFETY: frames that the driver does not fill get a status that says so, which the caller minds.
    let memory = unsafe { SharedMemory::<A>::reserve(device, count, plan.frames_per_mapping) };
    let memory = memory.map_err(|source| Error::Map { domain, count, source })?;
    let window =
        Window { device, domain, memory: &memory, frames, frames_per_mapping: plan.frames_per_mapping };
    window.fill_all(statuses).map_err(failed)?;
    if frames.iter().fold(0, |bits, gfn| bits | gfn.get()) >= END_OF_FRAMES {
        refuse_those_beyond_the_end(frames, statuses);
    }
    if !are_all_mapped(statuses) && any_paged_out(statuses) && !own_domain::is_auto_translated() {
        window.await_paged_out(statuses, paged_out_deadline);
    }
    Ok(memory)
}

/// Whether the file's restriction keeps us from a domain: the kernel looks at that first, and then finds that the request
/// is for no frames.
pub(crate) fn keeps_from(device: &Device<Privcmd>, domain: DomId) -> bool {
    let mut request = MmapBatchV2 { num: 0, dom: domain.get(), padding: 0, addr: 0, arr: 0, err: 0 };
    // SAFETY: no frame, so nothing is read, written or mapped.
    let outcome = unsafe { device.submit_unchecked(&mut request) };
    outcome.is_err_and(|error| error.raw_os_error() == Some(EPERM))
}

/// Has the frames fail whose number the kernel took for another one's.
#[cold]
fn refuse_those_beyond_the_end(frames: &[Gfn], statuses: &mut [FrameStatus]) {
    for (_, status) in frames.iter().zip(statuses).filter(|(gfn, _)| gfn.get() >= END_OF_FRAMES) {
        if status.is_mapped() {
            *status = FrameStatus(-EINVAL);
        }
    }
}

/// Looks at all of them at once, which takes no branches: as a rule it is so.
pub(crate) fn are_all_mapped(statuses: &[FrameStatus]) -> bool {
    statuses.iter().fold(0, |bits, status| bits | status.0) == 0
}

fn any_paged_out(statuses: &[FrameStatus]) -> bool {
    statuses.iter().any(|status| status.is_paged_out())
}

/// Memory that is being filled with frames.
struct Window<'a, A: Access> {
    device: &'a Device<Privcmd>,
    domain: DomId,
    memory: &'a SharedMemory<A>,
    frames: &'a [Gfn],
    frames_per_mapping: usize,
}

impl<A: Access> Window<'_, A> {
    /// Asks for the frames from number `first` on, as many as there are statuses.
    fn fill(&self, first: usize, statuses: &mut [FrameStatus]) -> io::Result<()> {
        let frames = self.frames.get(first..first + statuses.len());
        let (Some(frames), Some(place)) = (frames, self.memory.page_ptr(first)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut request = MmapBatchV2 {
            num: u32::try_from(frames.len()).map_err(io::Error::other)?,
            dom: self.domain.get(),
            padding: 0,
            addr: place.expose_provenance() as u64,
            arr: frames.as_ptr().expose_provenance() as u64,
            err: statuses.as_mut_ptr().expose_provenance() as u64,
        };
        // SAFETY: `num` frames and statuses, borrowed until here, the latter exclusively; the place is that of reserved
        // memory with room for them, and the driver touches only what is its own.
        match unsafe { self.device.submit_unchecked(&mut request) } {
            // Some kernels say so if a frame is paged out, some if the last one is: the statuses tell in any case.
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Asks for all frames, in one request for each mapping of the kernel's.
    fn fill_all(&self, statuses: &mut [FrameStatus]) -> io::Result<()> {
        let mut first = 0;
        for statuses in statuses.chunks_mut(self.frames_per_mapping) {
            self.fill(first, statuses)?;
            first += statuses.len();
        }
        Ok(())
    }

    /// Tries frames that are paged out again and again, until they are there or the time is up. There is nothing to wait
    /// for but time; the first try made Xen ask for the frame.
    ///
    /// In PV domains only: elsewhere, a frame that failed has taken its place in the mapping for good.
    fn await_paged_out(&self, statuses: &mut [FrameStatus], deadline: Duration) {
        const STEP: Duration = Duration::from_micros(100);
        let end = Instant::now().checked_add(deadline);
        while any_paged_out(statuses) && end.is_none_or(|end| Instant::now() < end) {
            thread::sleep(STEP);
            if !self.retry_paged_out(statuses) {
                return;
            }
        }
    }

    /// Asks once more for each run of frames that are paged out; false if the kernel takes no such request.
    fn retry_paged_out(&self, statuses: &mut [FrameStatus]) -> bool {
        let mut first = 0;
        for statuses in statuses.chunks_mut(self.frames_per_mapping) {
            for run in statuses.chunk_by_mut(|one, next| one.is_paged_out() == next.is_paged_out()) {
                if any_paged_out(run) && self.fill(first, run).is_err() {
                    // The kernel may have cleared them before it refused.
                    run.fill(FrameStatus::PAGED_OUT);
                    return false;
                }
                first += run.len();
            }
        }
        true
    }
}
