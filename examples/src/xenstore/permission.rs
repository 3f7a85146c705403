//! Who may read and write a node.

use std::fmt;
use std::str::FromStr;

use xen_evtchn::DomId;

/// What a domain may do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Write.
    Write,
    /// Read and write.
    Both,
}

/// An entry in a node's list of permissions.
///
/// The first entry of the list is special: it names the *owner*, who may do everything, and its `access` holds for
/// every domain that the rest of the list does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Of whom.
    pub domain: DomId,
    /// What is allowed.
    pub access: Access,
}

impl Permission {
    /// The list for a node that `owner` owns and only `reader` may look at.
    #[must_use]
    pub fn owned_and_read(owner: DomId, reader: DomId) -> [Self; 2] {
        [Self { domain: owner, access: Access::None }, Self { domain: reader, access: Access::Read }]
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::None => 'n',
            Access::Read => 'r',
            Access::Write => 'w',
            Access::Both => 'b',
        };
        write!(formatter, "{access}{}", self.domain.get())
    }
}

/// The text is no permission: one of the letters n, r, w, b and a domain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a permission: one of the letters n, r, w, b and a domain number")]
pub struct InvalidPermission;

impl FromStr for Permission {
    type Err = InvalidPermission;

    fn from_str(text: &str) -> Result<Self, InvalidPermission> {
        let (letter, domain) = text.split_at_checked(1).ok_or(InvalidPermission)?;
        let access = match letter {
            "n" => Access::None,
            "r" => Access::Read,
            "w" => Access::Write,
            "b" => Access::Both,
            _ => return Err(InvalidPermission),
        };
        Ok(Self { domain: domain.parse().map_err(|_| InvalidPermission)?, access })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_a_letter_and_a_domain() {
        for text in ["n0", "r7", "w12", "b32751"] {
            assert_eq!(text.parse::<Permission>().unwrap().to_string(), text);
        }
        for text in ["", "r", "x1", "r-1", "r70000", "é1"] {
            assert_eq!(text.parse::<Permission>(), Err(InvalidPermission), "{text}");
        }
    }
}
