//! The arinc653 scheduler: fixed time slots.

use std::time::Duration;

use xen_sys::xen_public::sysctl::{ARINC653_SLOTS, Arinc653, Arinc653Schedule, Arinc653Slot};

use crate::domain::Uuid;
use crate::{CpuPool, Error, VcpuId};

/// A time slot for a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The domain.
    pub domain: Uuid,
    /// Its vCPU.
    pub vcpu: VcpuId,
    /// How long it runs.
    pub runtime: Duration,
}

/// A schedule after ARINC 653: slots one after the other, again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "xen_sysctl_arinc653_schedule")]
pub struct Schedule {
    /// When it begins again. What the slots leave of it is idle.
    pub major_frame: Duration,
    /// At most 64.
    pub slots: Vec<Slot>,
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Schedule {
    fn from_record(record: &Arinc653Schedule) -> Self {
        let used = &record.sched_entries[..usize::from(record.num_sched_entries).min(ARINC653_SLOTS)];
        let slots = used.iter().map(|slot| Slot {
            domain: Uuid(slot.dom_handle),
            vcpu: VcpuId::new(slot.vcpu_id),
            runtime: Duration::from_nanos(slot.runtime),
        });
        Self { major_frame: Duration::from_nanos(record.major_frame), slots: slots.collect() }
    }

    /// Too many slots are counted, but not all there: Xen looks at the number first, and refuses.
    fn fill(&self, record: &mut Arinc653Schedule) {
        record.major_frame = nanoseconds(self.major_frame);
        record.num_sched_entries = u8::try_from(self.slots.len()).unwrap_or(u8::MAX);
        for (entry, slot) in record.sched_entries.iter_mut().zip(&self.slots) {
            *entry = Arinc653Slot {
                dom_handle: slot.domain.0,
                vcpu_id: slot.vcpu.get(),
                pad: 0,
                runtime: nanoseconds(slot.runtime),
            };
        }
    }
}

impl CpuPool<'_> {
    /// The schedule of this cpupool, if its scheduler is arinc653. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if its scheduler is another one, with `ESRCH` if there is no such
    /// cpupool; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_sched_arinc653_schedule_get")]
    pub fn arinc653_schedule(&self) -> Result<Schedule, Error> {
        let mut record = self.xen.xencall().zeroed_buffer::<Arinc653Schedule>(1)?;
        self.xen.sysctl(&Arinc653::new(self.id, false, record.lend()))?;
        Ok(Schedule::from_record(&record[0]))
    }

    /// Sets the schedule of this cpupool; it begins at the end of the current one. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`arinc653_schedule`](Self::arinc653_schedule); also [`Error::Refused`] with `EINVAL` for a schedule without slots or
    /// with more than 64, with an empty slot, or with more in the slots than the frame is long.
    #[doc(alias = "xc_sched_arinc653_schedule_set")]
    pub fn set_arinc653_schedule(&self, schedule: &Schedule) -> Result<(), Error> {
        let mut record = self.xen.xencall().zeroed_buffer::<Arinc653Schedule>(1)?;
        schedule.fill(&mut record[0]);
        self.xen.sysctl(&Arinc653::new(self.id, true, record.lend())).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xen_sys::zerocopy::FromZeros;

    use super::*;

    fn slot() -> impl Strategy<Value = Slot> {
        (any::<[u8; 16]>(), any::<u32>(), any::<u64>()).prop_map(|(uuid, vcpu, runtime)| Slot {
            domain: Uuid(uuid),
            vcpu: VcpuId::new(vcpu),
            runtime: Duration::from_nanos(runtime),
        })
    }

    fn record(schedule: &Schedule) -> Arinc653Schedule {
        let mut record = Arinc653Schedule::new_zeroed();
        schedule.fill(&mut record);
        record
    }

    proptest! {
        #[test]
        fn a_schedule_comes_back(frame: u64, slots in proptest::collection::vec(slot(), 0..=64)) {
            let schedule = Schedule { major_frame: Duration::from_nanos(frame), slots };
            prop_assert_eq!(Schedule::from_record(&record(&schedule)), schedule);
        }
    }

    #[test]
    fn too_many_slots_are_shown_to_xen_as_too_many() {
        let slot = Slot { domain: Uuid([7; 16]), vcpu: VcpuId::new(0), runtime: Duration::from_millis(1) };
        for (count, told) in [(64, 64), (65, 65), (300, 255)] {
            let schedule = Schedule { major_frame: Duration::from_secs(1), slots: vec![slot; count] };
            assert_eq!(record(&schedule).num_sched_entries, told);
        }
    }
}
