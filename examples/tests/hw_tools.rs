//! `domain_tool`, compared with what `xl` says in the same dom0.

mod tools;

use std::collections::HashMap;

use serde_json::Value;
use tools::{Bare, list, run, text, tool, xl_table};
use xen_ctrl::CpuMap;

/// A tiny guest that `xl` has made, destroyed when dropped.
struct Guest {
    name: &'static str,
    id: String,
}

impl Guest {
    fn start(name: &'static str) -> Self {
        let line = text("guest", &["mini", name]);
        let id = line.split_whitespace().find_map(|word| word.strip_prefix("domid="));
        Self { name, id: id.unwrap_or_else(|| panic!("no domain in '{line}'")).to_owned() }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        run("guest", &["stop", self.name]);
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn domains_are_listed_as_xl_does() {
    let bare = Bare::create(&["--memory", "8", "--vcpus", "2"]);
    let guest = Guest::start("listed");
    let ours = list(tool(&["list"]));
    let columns = xl_table(&["list"]);
    assert_eq!(ours.len(), columns.len());
    for (ours, columns) in ours.iter().zip(&columns) {
        let [.., id, mib, vcpus, _, _] = &columns[..] else { panic!("{columns:?}") };
        assert_eq!((&ours["id"].to_string(), &ours["vcpus"].to_string()), (id, vcpus));
        let kib = ours["memory_kib"].as_u64().expect("a number");
        assert!((kib / 1024).abs_diff(mib.parse().expect("MiB")) <= 1, "{ours} {columns:?}");
        if ours["name"] != "-" {
            assert_eq!(ours["name"], Value::from(columns[0].clone()));
        }
    }
    let named = |id: &str| with(&ours, "id", id).expect("listed");
    assert_eq!((&named("0")["name"], &named(&guest.id)["name"]), (&"Domain-0".into(), &guest.name.into()));
    let table = text("domain_tool", &["list"]);
    assert!(table.starts_with("NAME") && table.lines().count() == ours.len() + 1, "{table}");
    let info = tool(&["info", &bare.id]);
    assert_eq!((&info["max_vcpus"], &info["max_memory_kib"]), (&Value::from(2), &Value::from(8 << 10)));
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_domain_is_what_xl_has_made() {
    let guest = Guest::start("described");
    // the guest alone: of dom0, xl would write down a target for its memory, by which kernels with pages of 16 KiB give most of it away
    let described: Value = serde_json::from_str(&text("xl", &["list", "-l", &guest.id])).expect("JSON");
    let [domain] = &list(described)[..] else { panic!("more than one") };
    assert_eq!(domain["domid"].to_string(), guest.id);
    let (config, ours) = (&domain["config"], tool(&["info", &guest.id]));
    let (creation, build) = (&config["c_info"], &config["b_info"]);
    assert_eq!((&ours["name"], &ours["uuid"]), (&creation["name"], &creation["uuid"]), "{config}");
    let kind = creation["type"].as_str().expect("a type");
    assert_eq!(ours["kind"].as_str() == Some("pv"), kind == "pv", "{config}");
    assert_eq!(ours["max_vcpus"].as_u64(), build["max_vcpus"].as_u64().or(Some(1)), "{config}");
    // xl allows a little more than it is told, for what is no memory to the guest
    let (limit, told) = (ours["max_memory_kib"].as_u64(), build["max_memkb"].as_u64());
    let (limit, told) = (limit.expect("a number"), told.expect("a number"));
    assert!((told..told + (8 << 10)).contains(&limit), "{limit} {config}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_host_is_described_as_xl_does() {
    let xl = text("xl", &["info"]);
    let xl: HashMap<&str, &str> = xl
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let host = tool(&["host"]);
    let same = [
        ("xen", "xen_version"),
        ("capabilities", "xen_caps"),
        ("command_line", "xen_commandline"),
        ("scheduler", "xen_scheduler"),
        ("hw_caps", "hw_caps"),
    ];
    for (ours, xls) in same {
        assert_eq!(host[ours].as_str().map(str::trim), Some(xl[xls]), "{ours}");
    }
    let numbers = [
        ("cpus", "nr_cpus"),
        ("nodes", "nr_nodes"),
        ("cores_per_socket", "cores_per_socket"),
        ("threads_per_core", "threads_per_core"),
        ("total_mib", "total_memory"),
    ];
    for (ours, xls) in numbers {
        assert_eq!(host[ours].to_string(), xl[xls], "{ours}");
    }
    let free = host["free_mib"].as_u64().expect("a number");
    assert!(free.abs_diff(xl["free_memory"].parse().expect("MiB")) <= 1, "{host}");
    let mhz = host["mhz"].as_f64().expect("a number");
    assert!((mhz - xl["cpu_mhz"].parse::<f64>().expect("MHz")).abs() < 1.0, "{host}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn vcpus_are_listed_as_xl_does() {
    let guest = Guest::start("vcpus"); // xl wants names here: bare domains have none
    let ours = list(tool(&["vcpus"]));
    let xls = xl_table(&["vcpu-list", "0", &guest.id]);
    assert!(xls.iter().any(|columns| columns.contains(&guest.id)), "{xls:?}");
    for columns in xls {
        let [.., id, vcpu, cpu, state, _, hard, _, soft] = &columns[..] else { panic!("{columns:?}") };
        let number = |text: &str| text.parse::<u64>().ok();
        let is_it =
            |line: &&Value| line["id"].as_u64() == number(id) && line["vcpu"].as_u64() == number(vcpu);
        let line = ours.iter().find(is_it);
        let line = line.expect("the same vCPU");
        assert_eq!(line["name"], Value::from(columns[0].clone()));
        assert_eq!(line["cpu"].as_u64().map_or("-".to_owned(), |cpu| cpu.to_string()), *cpu);
        assert_eq!(line["state"].as_str().map(|letters| letters.contains('p')), Some(state.contains('p')));
        for (ours, xls) in [("hard_affinity", hard), ("soft_affinity", soft)] {
            let cpus = line[ours].as_str().expect("a list");
            // who may run everywhere may run on CPU 0, and on more than there are
            assert!(cpus == xls || (xls == "all" && cpus.starts_with('0')), "{line} {columns:?}");
        }
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn pools_are_listed_as_xl_does() {
    let pools = list(tool(&["pools"]));
    let (columns, cpus) = (xl_table(&["cpupool-list"]), xl_table(&["cpupool-list", "-c"]));
    assert_eq!((pools.len(), pools.len()), (columns.len(), cpus.len()));
    for (pool, (columns, listed)) in pools.iter().zip(columns.iter().zip(&cpus)) {
        let [name, count, scheduler, _, domains] = &columns[..] else { panic!("{columns:?}") };
        assert_eq!((pool["name"].as_str(), pool["scheduler"].as_str()), (Some(&**name), Some(&**scheduler)));
        // others may be on their way out, one fewer from call to call
        let domains: u64 = domains.parse().expect("a number");
        assert!(
            domains > 0 && pool["domains"].as_u64().is_some_and(|ours| ours >= domains),
            "{pool} {domains}"
        );
        let [of, cpus] = &listed[..] else { panic!("{listed:?}") };
        let cpus: CpuMap = cpus.parse().expect("a list");
        assert_eq!((of, pool["cpus"].as_str()), (name, Some(&*cpus.to_string())));
        assert_eq!(cpus.iter().count().to_string(), *count);
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn shares_are_listed_as_xl_does() {
    if tool(&["host"])["scheduler"] != "credit2" {
        return println!("skipped: the scheduler is not credit2");
    }
    let guest = Guest::start("shares");
    text("xl", &["sched-credit2", "-d", guest.name, "-w", "512", "-c", "50"]);
    let ours = list(tool(&["shares"]));
    let xls = text("xl", &["sched-credit2"]); // for each cpupool: which it is, a heading, its domains
    let lines = xls.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let xls: Vec<_> = lines.filter(|line| line.len() >= 4 && line.last().is_some_and(is_number)).collect();
    assert_eq!(ours.len(), xls.len(), "{xls:?}");
    for (ours, xls) in ours.iter().zip(&xls) {
        let [.., id, weight, cap] = xls[..] else { panic!("{xls:?}") };
        let own_cap = ours["cap"].as_u64().unwrap_or(0); // xl says 0 for none
        let own = [ours["id"].to_string(), ours["weight"].to_string(), own_cap.to_string()];
        assert_eq!((own, &ours["scheduler"]), ([id, weight, cap].map(str::to_owned), &"credit2".into()));
    }
    let changed = with(&ours, "id", &guest.id).expect("listed");
    assert_eq!((&changed["weight"], &changed["cap"]), (&512.into(), &50.into()));
}

/// The object in a list that has this number there.
fn with<'a>(list: &'a [Value], field: &str, number: &str) -> Option<&'a Value> {
    let number = number.parse::<u64>().ok();
    list.iter().find(|object| object[field].as_u64() == number)
}

fn is_number(text: &&str) -> bool {
    text.parse::<u64>().is_ok()
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_domain_is_created_and_paused_and_destroyed() {
    let bare = Bare::create(&[]);
    assert!(bare.is_paused(), "new domains are");
    assert!(!state(&tool(&["unpause", &bare.id])).contains('p'));
    assert!(!bare.is_paused());
    assert!(state(&tool(&["pause", &bare.id])).contains('p'));
    assert!(bare.is_paused());
    let destroyed = tool(&["destroy", &bare.id]);
    assert_eq!((destroyed["id"].to_string(), &destroyed["destroyed"]), (bare.id.clone(), &true.into()));
    let output = run("domain_tool", &["info", &bare.id]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it is gone");
    assert!(message.contains(&format!("there is no domain {}", bare.id)), "{message}");
}

fn state(described: &Value) -> &str {
    described["state"].as_str().expect("letters")
}
