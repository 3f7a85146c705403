//! Hypercalls whose records and requests were prepared.

use super::Prepared;
use crate::operation::Side;
use anyhow::Result;
use std::os::fd::AsFd;
use xen_call::{HypercallBuffer, HypercallNumber, Operation, Xencall};
use xen_sys::linux::privcmd;
use xen_sys::xen_public::multicall::MulticallEntry;

/// Issues an operation. Its record must still be right after Xen has answered in it.
pub(crate) fn hypercall<O: Operation<Record: 'static> + 'static>(
    xencall: &Xencall,
    operation: &O,
) -> Result<Side> {
    let record = xencall.buffer(operation.record())?;
    let address = if size_of::<O::Record>() == 0 { 0 } else { record.address() };
    Ok(issue(xencall, O::NUMBER, operation.arguments(address), record))
}

/// Issues operations in one system call.
pub(crate) fn multicall<O: Operation<Record: 'static> + 'static>(
    xencall: &Xencall,
    operations: &[O],
) -> Result<Side> {
    let records = operations.iter().map(|operation| xencall.buffer(operation.record()));
    let records: Vec<_> = records.collect::<Result<_, _>>()?;
    let entry = |(operation, record): (&O, &HypercallBuffer<O::Record>)| {
        let [first, second, third, fourth, fifth] = operation.arguments(record.address());
        MulticallEntry { op: O::NUMBER.0.into(), result: 0, args: [first, second, third, fourth, fifth, 0] }
    };
    let entries: Vec<_> = operations.iter().zip(&records).map(entry).collect();
    let entries = xencall.buffer_from(&entries)?;
    let arguments = [entries.address(), entries.len() as u64, 0, 0, 0];
    Ok(issue(xencall, HypercallNumber::MULTICALL, arguments, (entries, records)))
}

/// What the arguments point to is in `memory`, or for the rest of the program.
fn issue<M: 'static>(xencall: &Xencall, number: HypercallNumber, arg: [u64; 5], memory: M) -> Side {
    let mut request = privcmd::Hypercall { op: number.0.into(), arg };
    // SAFETY: the memory is kept, and nobody else looks at it.
    let mut request = unsafe { Prepared::new(&mut request) };
    let xencall = xencall.clone();
    Side::prepared(memory, |_| (), move |_| request.send(xencall.as_fd()))
}
