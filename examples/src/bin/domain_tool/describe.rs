//! Domains, vCPUs, cpupools and the host as JSON: lists of objects, or one object.

use anyhow::Result;
use examples::toolstack::{Names, memory_kib, state_letters};
use serde_json::{Value, json};
use xen_call::version;
use xen_ctrl::domain::{DomainFlags, DomainInfo};
use xen_ctrl::sched::Scheduler;
use xen_ctrl::{CpuPoolInfo, Error, VcpuId, Xenctrl};

pub(crate) fn domains(domains: &[DomainInfo], names: &mut Names) -> Value {
    domains.iter().map(|info| domain(info, names)).collect()
}

pub(crate) fn domain(info: &DomainInfo, names: &mut Names) -> Value {
    json!({
        "name": names.of(info),
        "id": info.id.get(),
        "kind": if info.flags.contains(DomainFlags::HVM_GUEST) { "hvm" } else { "pv" },
        "memory_kib": memory_kib(info),
        "max_memory_kib": info.max_pages.saturating_mul(4),
        "vcpus": info.online_vcpus,
        "max_vcpus": info.max_vcpu.map_or(0, |last| last + 1),
        "state": state_letters(info),
        "cpu_seconds": tenths(info.cpu_time.as_secs_f64()),
        "cpupool": info.cpupool,
        "uuid": info.uuid.to_string(),
    })
}

pub(crate) fn vcpus(xen: &Xenctrl, names: &mut Names) -> Result<Value> {
    let mut vcpus = Vec::new();
    for info in xen.domains()? {
        let Some(last) = info.max_vcpu else { continue };
        let name = names.of(&info);
        for number in 0..=last {
            let vcpu = xen.domain(info.id).vcpu(VcpuId::new(number));
            let (Some(state), Some(affinity)) = (still_there(vcpu.info())?, still_there(vcpu.affinity())?)
            else {
                break;
            };
            vcpus.push(json!({
                "name": name,
                "id": info.id.get(),
                "vcpu": number,
                "cpu": state.online.then_some(state.cpu),
                "state": letters(state.online, state.running, state.blocked),
                "cpu_seconds": tenths(state.cpu_time.as_secs_f64()),
                "hard_affinity": affinity.hard.to_string(),
                "soft_affinity": affinity.soft.to_string(),
            }));
        }
    }
    Ok(vcpus.into())
}

pub(crate) fn pools(xen: &Xenctrl, names: &mut Names) -> Result<Value> {
    let pools = xen.cpupools()?;
    let pool = |pool: &CpuPoolInfo| {
        json!({
            "name": names.of_cpupool(pool.id),
            "id": pool.id,
            "scheduler": pool.scheduler.to_string(),
            "cpus": pool.cpus.to_string(),
            "domains": pool.domains,
        })
    };
    Ok(pools.iter().map(pool).collect())
}

/// What credit and credit2 know of their domains. Other schedulers have no shares.
pub(crate) fn shares(xen: &Xenctrl, names: &mut Names) -> Result<Value> {
    let pools = xen.cpupools()?;
    let scheduler_of = |id| pools.iter().find(|pool| Some(pool.id) == id).map(|pool| pool.scheduler);
    let mut shares = Vec::new();
    for info in xen.domains()? {
        let domain = xen.domain(info.id);
        let scheduler = scheduler_of(info.cpupool);
        let share = match scheduler {
            Some(Scheduler::Credit) => still_there(domain.credit())?,
            Some(Scheduler::Credit2) => still_there(domain.credit2())?,
            _ => None,
        };
        shares.push(json!({
            "name": names.of(&info),
            "id": info.id.get(),
            "cpupool": info.cpupool,
            "scheduler": scheduler.map(|scheduler| scheduler.to_string()),
            "weight": share.map(|share| share.weight),
            "cap": share.and_then(|share| share.cap),
        }));
    }
    Ok(shares.into())
}

pub(crate) fn host(xen: &Xenctrl) -> Result<Value> {
    let (host, call) = (xen.host().info()?, xen.xencall());
    Ok(json!({
        "xen": format!("{}{}", xen.version(), version::extra_version(call)?),
        "capabilities": version::capabilities(call)?,
        "command_line": version::command_line(call)?,
        "scheduler": xen.host().scheduler()?.to_string(),
        "cpus": host.cpus,
        "max_cpu": host.max_cpu,
        "nodes": host.nodes,
        "cores_per_socket": host.cores_per_socket,
        "threads_per_core": host.threads_per_core,
        "mhz": tenths(f64::from(host.cpu_khz) / 1000.0),
        "total_mib": host.pages / 256,
        "free_mib": host.free_pages / 256,
        "hw_caps": host.hardware_capabilities.map(|word| format!("{word:08x}")).join(":"),
    }))
}

/// Nothing, if the domain has gone since it was listed.
fn still_there<T>(answer: Result<T, Error>) -> Result<Option<T>> {
    match answer {
        Err(Error::NoSuchDomain { .. }) => Ok(None),
        answer => Ok(Some(answer?)),
    }
}

fn letters(online: bool, running: bool, blocked: bool) -> String {
    let letters = [(online && running, 'r'), (online && blocked, 'b'), (!online, 'p')];
    letters.iter().map(|&(is, letter)| if is { letter } else { '-' }).collect()
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
