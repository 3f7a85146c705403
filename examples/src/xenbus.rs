//! What both sides of any PV device agree on: the states of the handshake.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::xenstore::{Tree, Xenstore};

/// How far one side of a device is (`enum xenbus_state`), as it stands in its `state` node.
///
/// Each side watches the other's node and moves on when the other has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The toolstack has made the nodes.
    Initialising = 1,
    /// The backend has published what it offers and waits for the frontend's choice.
    InitWait = 2,
    /// The frontend has published its choice: rings and event channels.
    Initialised = 3,
    /// In service.
    Connected = 4,
    /// On the way down.
    Closing = 5,
    /// Out of service.
    Closed = 6,
    /// The backend changes the device's properties.
    Reconfiguring = 7,
    /// And is done with it.
    Reconfigured = 8,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Initialising,
        Self::InitWait,
        Self::Initialised,
        Self::Connected,
        Self::Closing,
        Self::Closed,
        Self::Reconfiguring,
        Self::Reconfigured,
    ];

    /// Whether the device is past its service.
    #[must_use]
    pub fn is_ending(self) -> bool {
        matches!(self, Self::Closing | Self::Closed)
    }
}

/// The number, as it is written to xenstore.
impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (*self as u8).fmt(formatter)
    }
}

/// The text is no state: states are 1 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a device state (1 to 8)")]
pub struct InvalidState;

impl FromStr for State {
    type Err = InvalidState;

    fn from_str(text: &str) -> Result<Self, InvalidState> {
        let number: u8 = text.parse().map_err(|_| InvalidState)?;
        Self::ALL.into_iter().find(|state| *state as u8 == number).ok_or(InvalidState)
    }
}

/// Waits until the other side's state, in the node `path`, is as `wanted`; `None` stands for a node that does not exist.
///
/// # Errors
/// If it is not so by `deadline`, if xenstore fails, or if the node holds no state.
pub fn wait_for_state(
    store: &mut Xenstore,
    path: &str,
    deadline: Instant,
    wanted: impl Fn(Option<State>) -> bool,
) -> Result<Option<State>> {
    const TOKEN: &str = "wait-for-state";
    store.watch(path, TOKEN)?;
    let state = loop {
        let text = store.read_optional(path)?;
        let state: Option<State> =
            text.as_deref().map(str::parse).transpose().with_context(|| path.to_owned())?;
        if wanted(state) {
            break state;
        }
        if store.wait_event(deadline)?.is_none() {
            bail!("{path} has not moved on from {state:?} in time");
        }
    };
    store.unwatch(path, TOKEN)?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_numbers() {
        for state in State::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        for text in ["0", "9", "", "x", "-1"] {
            assert_eq!(text.parse::<State>(), Err(InvalidState));
        }
    }
}
