//! Many hypercalls in one.
#![expect(unsafe_code, reason = "issues the multicall, and reads records back")]

use crate::pool::Block;
use crate::xencall::{has_no_multicalls, outcome};
use crate::{Answer, Error, HypercallBuffer, Xencall};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use xen_sys::xen_public::multicall::MulticallEntry;
use xen_sys::xen_public::operation::{HypercallNumber, Operation};

/// A list of operations that go to Xen in one system call, in order. Each has its own result, of 64 bits; an error does not
/// stop those behind it.
///
/// ```no_run
/// use xen_call::{Multicall, Xencall};
/// use xen_sys::xen_public::version::{FeatureInfo, Version};
///
/// # fn main() -> Result<(), xen_call::Error> {
/// let xencall = Xencall::open()?;
/// let mut calls = Multicall::new(&xencall);
/// let version = calls.push(Version)?;
/// let features = calls.push(FeatureInfo { submap_idx: 0, submap: 0 })?;
/// let mut answers = calls.issue()?;
/// println!("{:#x}, {:#x}", answers.take(version)?.value, answers.take(features)?.record.submap);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Multicall<'a> {
    xencall: &'a Xencall,
    calls: Vec<Call>,
    /// Tells the tickets of this list from others.
    list: u64,
}

/// An operation in the list.
#[derive(Debug)]
struct Call {
    name: &'static str,
    number: HypercallNumber,
    entry: MulticallEntry,
    /// Its record, until the answer is taken; none if it has no bytes.
    record: Option<Block>,
}

impl Call {
    /// Issues it by itself; the answer is what a multicall would have for its result.
    ///
    /// # Safety
    ///
    /// As [`Xencall::hypercall`].
    #[cold]
    unsafe fn issue(&self, xencall: &Xencall) -> Result<i64, Error> {
        let [arguments @ .., _] = self.entry.args;
        // SAFETY: the caller vouches for the arguments.
        match unsafe { xencall.issue(self.name, self.number, arguments) } {
            Err(error) => error.errno().map(|errno| -i64::from(errno)).ok_or(error),
            result => result,
        }
    }
}

/// Stands for an operation in a [`Multicall`], to take its answer with.
#[derive(Debug)]
pub struct Ticket<O> {
    list: u64,
    index: usize,
    operation: PhantomData<fn() -> O>,
}

impl<'a> Multicall<'a> {
    /// An empty list.
    #[must_use]
    #[doc(alias = "xc_hypercall_multicall")]
    pub fn new(xencall: &'a Xencall) -> Self {
        static LISTS: AtomicU64 = AtomicU64::new(0);
        Self { xencall, calls: Vec::new(), list: LISTS.fetch_add(1, Ordering::Relaxed) }
    }

    /// Makes room for so many more operations at once.
    pub fn reserve(&mut self, additional: usize) {
        self.calls.reserve(additional);
    }

    /// Adds an operation. What it borrows stays borrowed until the list is issued.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    #[expect(clippy::needless_pass_by_value, reason = "its borrows must last until the list is issued")]
    pub fn push<O: Operation + 'a>(&mut self, operation: O) -> Result<Ticket<O>, Error> {
        let (address, record) = if size_of::<O::Record>() == 0 {
            (0, None)
        } else {
            let buffer = self.xencall.buffer(operation.record())?;
            (buffer.address(), Some(buffer.into_block()))
        };
        let [first, second, third, fourth, fifth] = operation.arguments(address);
        let args = [first, second, third, fourth, fifth, 0];
        let entry = MulticallEntry { op: O::NUMBER.0.into(), result: 0, args };
        self.calls.push(Call { name: O::NAME, number: O::NUMBER, entry, record });
        Ok(Ticket { list: self.list, index: self.calls.len() - 1, operation: PhantomData })
    }

    /// The number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Issues all operations. One system call; none if there is no operation. In an HVM or PVH domain of Xen 4.14, which has no
    /// multicalls there, one for each operation, whose results the kernel cuts to 32 bits.
    ///
    /// # Errors
    ///
    /// [`Error::Hypercall`] if Xen refuses the list as a whole, [`Error::LockedDown`], [`Error::Restricted`],
    /// [`Error::Memory`]. Errors of single operations are in their answers.
    pub fn issue(self) -> Result<Answers, Error> {
        let Self { xencall, calls, list: id } = self;
        let mut entries = xencall.zeroed_buffer::<MulticallEntry>(calls.len())?;
        entries.iter_mut().zip(&calls).for_each(|(entry, call)| *entry = call.entry);
        if !calls.is_empty() {
            let arguments = [entries.lend().address(), calls.len() as u64, 0, 0, 0];
            // SAFETY: the entries are live and borrowed exclusively; their records are in `calls`, and everything else that
            // they point to is borrowed by the operations for `'a`, which `self` has kept until here.
            match unsafe { xencall.issue("multicall", HypercallNumber::MULTICALL, arguments) } {
                Err(error) if has_no_multicalls(&error) => {
                    for (entry, call) in entries.iter_mut().zip(&calls) {
                        // SAFETY: as above, for what this call points to.
                        entry.result = unsafe { call.issue(xencall) }?;
                    }
                }
                result => {
                    result?;
                }
            }
        }
        Ok(Answers { entries, calls, list: id })
    }
}

/// What a [`Multicall`] answered.
#[derive(Debug)]
pub struct Answers {
    entries: HypercallBuffer<[MulticallEntry]>,
    calls: Vec<Call>,
    list: u64,
}

impl Answers {
    /// Takes the answer of one operation.
    ///
    /// # Errors
    ///
    /// [`Error::Hypercall`] with its error number.
    ///
    /// # Panics
    ///
    /// If the ticket is another list's.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is good for one answer")]
    pub fn take<O: Operation>(&mut self, ticket: Ticket<O>) -> Result<Answer<O::Record>, Error> {
        assert!(ticket.list == self.list, "the ticket belongs to another multicall");
        let call = &mut self.calls[ticket.index];
        let value = outcome(call.name, self.entries[ticket.index].result)?;
        let place =
            call.record.as_ref().map_or(NonNull::dangling(), |block| block.address().cast::<O::Record>());
        // SAFETY: `push` put a record of this type there, as the ticket shows (or it has no bytes), and whatever Xen
        // has made of it is one (`FromBytes`).
        let record = unsafe { place.read() };
        call.record = None;
        Ok(Answer { value, record })
    }
}
