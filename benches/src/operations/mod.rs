//! What is measured. A group is a function that sets its operations up; what they need lives as long as they do.

mod calls;
#[cfg(target_arch = "x86_64")]
mod device_models;
mod events;
mod foreign;
mod grants;
mod handles;
mod ping_pong;

use crate::operation::Operation;
use anyhow::Result;

/// Sets a group's operations up.
type Make = fn() -> Result<Vec<Operation>>;

/// All groups, by name.
pub(crate) const GROUPS: &[(&str, Make)] = &[
    ("events", events::operations),
    ("ping-pong", ping_pong::operations),
    ("grants", grants::operations),
    ("handles", handles::operations),
    ("calls", calls::operations),
    ("foreign memory", foreign::operations),
    #[cfg(target_arch = "x86_64")]
    ("device models", device_models::operations),
];
