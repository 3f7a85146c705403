//! A domain that is being built.

use std::mem;
use std::ops::Deref;

use super::Gic;
use super::record::Filled;
use crate::{Domain, Error};

/// A domain that was created here, and is destroyed when this is dropped, unless it is [kept](CreatedDomain::keep).
#[derive(Debug)]
#[must_use = "the domain is destroyed when this is dropped"]
pub struct CreatedDomain<'a> {
    domain: Domain<'a>,
    filled: Filled,
}

impl<'a> CreatedDomain<'a> {
    pub(super) fn new(domain: Domain<'a>, filled: Filled) -> Self {
        Self { domain, filled }
    }

    /// The domain lives on.
    #[expect(clippy::must_use_candidate, reason = "that it lives on is what it is called for")]
    pub fn keep(self) -> Domain<'a> {
        let domain = self.domain;
        mem::forget(self); // of which the destruction is all that drop does
        domain
    }

    /// Destroys the domain, as dropping does, and tells if that fails.
    ///
    /// # Errors
    ///
    /// As [`Domain::destroy`].
    pub fn destroy(self) -> Result<(), Error> {
        self.keep().destroy()
    }

    /// The interrupt controller that Xen chose, on Arm.
    #[must_use]
    pub fn gic(&self) -> Option<Gic> {
        self.filled.gic
    }

    /// The frequency of the clock in Hz, on Arm machines whose clock register does not tell.
    #[must_use]
    pub fn clock_frequency(&self) -> Option<u32> {
        self.filled.clock_frequency
    }
}

impl<'a> Deref for CreatedDomain<'a> {
    type Target = Domain<'a>;

    fn deref(&self) -> &Domain<'a> {
        &self.domain
    }
}

impl Drop for CreatedDomain<'_> {
    fn drop(&mut self) {
        match self.domain.destroy() {
            Ok(()) | Err(Error::NoSuchDomain { .. }) => {}
            Err(error) => tracing::warn!(domain = %self.domain.id(), %error, "a domain was not destroyed"),
        }
    }
}
