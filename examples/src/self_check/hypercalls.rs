//! Hypercalls and the memory of their arguments.

use std::env::consts::ARCH;

use anyhow::{Context, Result, ensure};
use xen_call::{Error, HypercallBuffer, Multicall, Xencall, version};
use xen_sys::xen_public::version::{FeatureInfo, PageSize, Version};

use super::{Check, Machine, refused};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "memory for hypercall arguments", run: buffers },
    Check { name: "version and capabilities", run: versions },
    Check { name: "a hundred hypercalls in one", run: multicall },
    Check { name: "features that do not exist are refused", run: no_features },
];

const INVALID: i32 = 22;

fn buffers(_: &Machine) -> Result<()> {
    let xencall = Xencall::open()?;
    let small = (0..100_u64).map(|number| Ok(xencall.buffer(number)?)).collect::<Result<Vec<_>>>()?;
    let mut large: HypercallBuffer<[u64]> = xencall.zeroed_buffer(1 << 17)?;
    ensure!(large.iter().all(|&word| word == 0), "fresh memory is not zeroed");
    large.fill(u64::MAX);
    ensure!(small.iter().zip(0..).all(|(buffer, number)| **buffer == number), "buffers overlap");
    Ok(())
}

fn versions(machine: &Machine) -> Result<()> {
    machine.may_issue_hypercalls()?;
    let xencall = Xencall::open()?;
    let version = version::version(&xencall)?;
    ensure!(version.major == 4 && version.minor >= 14, "Xen {version} is not supported");
    let capabilities = version::capabilities(&xencall)?;
    ensure!(capabilities.contains(ARCH), "guests of {ARCH} are not among '{capabilities}'");
    let extra = version::extra_version(&xencall)?;
    ensure!(extra.chars().all(|letter| !letter.is_control()), "the extra version is {extra:?}");
    ensure!(version::page_size(&xencall)? == 4096, "pages have another size");
    version::features(&xencall, 0)?;
    Ok(())
}

fn multicall(machine: &Machine) -> Result<()> {
    machine.may_issue_hypercalls()?;
    let xencall = Xencall::open()?;
    let mut calls = Multicall::new(&xencall);
    let features = (0..100)
        .map(|_| calls.push(FeatureInfo { submap_idx: 0, submap: 0 }))
        .collect::<Result<Vec<_>, _>>()
        .context("adding calls")?;
    let (version, size) = (calls.push(Version)?, calls.push(PageSize)?);
    let mut answers = calls.issue()?;
    let alone = version::features(&xencall, 0)?;
    for ticket in features {
        ensure!(answers.take(ticket)?.record.submap == alone, "the same question has two answers");
    }
    let major = answers.take(version)?.value >> 16;
    ensure!((major, answers.take(size)?.value) == (4, 4096), "answers are mixed up");
    Ok(())
}

fn no_features(machine: &Machine) -> Result<()> {
    machine.may_issue_hypercalls()?;
    let xencall = Xencall::open()?;
    for index in [99, 0x1_0000, 1 << 31, u32::MAX] {
        refused!(
            version::features(&xencall, index),
            Error::Hypercall { source, .. } if source.raw_os_error() == Some(INVALID)
        );
    }
    Ok(())
}
