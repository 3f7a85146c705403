//! Patches of the running hypervisor.

use std::io;

use xen_sys::xen_public::sysctl::{
    CountLivepatches, GetLivepatch, LivepatchEntry, LivepatchListRecord, PATCH_APPLIED, PATCH_CHECKED,
};

use super::{Host, size, text};
use crate::Error;

/// How often the list is read anew because patches came or went meanwhile.
const TRIES: usize = 5;

/// The state of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LivepatchState {
    /// Loaded, and not applied.
    Checked,
    /// Applied.
    Applied,
    /// A number that this crate does not know.
    Other(u32),
}

/// A patch of the hypervisor.
#[derive(Debug)]
#[non_exhaustive]
pub struct Livepatch {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: LivepatchState,
    /// What the last operation on it gave, if not success: `EAGAIN` (would block) while it goes on.
    pub error: Option<io::Error>,
    /// Texts that describe it, `KEY=VALUE`.
    pub metadata: Vec<String>,
}

impl Host<'_> {
    /// The patches that are loaded, in the order in which they were. One hypercall, and one for each patch.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if Xen was built without `CONFIG_LIVEPATCH`; [`Error::Denied`]; [`Error::Refused`] with `EAGAIN` if patches
    /// came and went all the time; [`Error::Call`] if there are no 2 MiB of memory.
    #[doc(alias = "xc_livepatch_list")]
    #[doc(alias = "xc_livepatch_list_get_sizes")]
    #[doc(alias = "XEN_SYSCTL_livepatch_op")]
    #[doc(alias = "XEN_SYSCTL_LIVEPATCH_LIST")]
    pub fn livepatches(&self) -> Result<Vec<Livepatch>, Error> {
        for _ in 0..TRIES {
            let LivepatchListRecord { nr: count, version, .. } = self.xen.sysctl(&CountLivepatches)?.list;
            if let Some(list) = self.read_livepatches(count, version)? {
                return Ok(list);
            }
        }
        let source = io::Error::from(io::ErrorKind::WouldBlock);
        Err(Error::Refused { operation: "XEN_SYSCTL_livepatch_op", domain: None, source })
    }

    /// The list, `None` if its version changes meanwhile.
    fn read_livepatches(self, count: u32, version: u32) -> Result<Option<Vec<Livepatch>>, Error> {
        let mut list = Vec::new();
        if count == 0 {
            return Ok(Some(list));
        }
        let mut entry = self.xen.xencall().zeroed_buffer::<LivepatchEntry>(1)?;
        for index in 0..count {
            let Some(operation) = GetLivepatch::new(index, entry.lend()) else { break }; // there is room for one
            match self.xen.sysctl(&operation) {
                Ok(answer) if answer.list.version == version => list.push(livepatch(&entry[0])),
                Ok(_) => return Ok(None),
                // the list has become shorter
                Err(error) if error.errno() == Some(xen_sys::xen_public::errno::EINVAL) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(list))
    }
}

fn livepatch(entry: &LivepatchEntry) -> Livepatch {
    let metadata = &entry.metadata[..size(entry.metadata_length).min(entry.metadata.len())];
    let strings = metadata.split(|&byte| byte == 0).filter(|string| !string.is_empty());
    Livepatch {
        name: text(&entry.name),
        state: match entry.status.state {
            PATCH_CHECKED => LivepatchState::Checked,
            PATCH_APPLIED => LivepatchState::Applied,
            other => LivepatchState::Other(other),
        },
        error: (entry.status.rc != 0).then(|| io::Error::from_raw_os_error(entry.status.rc.saturating_neg())),
        metadata: strings.map(|string| String::from_utf8_lossy(string).into_owned()).collect(),
    }
}
