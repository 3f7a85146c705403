//! `domain_tool` and `xen_top`, compared with what `xl` says in the same dom0.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect(program)
}

fn text(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What `domain_tool` says to a program.
fn tool(arguments: &[&str]) -> Value {
    let all = [&["--json"], arguments].concat();
    serde_json::from_str(&text("domain_tool", &all)).expect("JSON")
}

fn list(value: Value) -> Vec<Value> {
    let Value::Array(list) = value else { panic!("{value}") };
    list
}

/// The lines of a table of `xl`, in columns, without the heading.
fn xl_table(arguments: &[&str]) -> Vec<Vec<String>> {
    let text = text("xl", arguments);
    text.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// A domain with nothing in its memory, destroyed when dropped.
struct Bare {
    id: String,
}

impl Bare {
    fn create(arguments: &[&str]) -> Self {
        let described = tool(&[&["create"], arguments].concat());
        Self { id: described["id"].to_string() }
    }

    /// The third letter of the state that `xl` prints.
    fn is_paused(&self) -> bool {
        let line = xl_table(&["list"]).into_iter().find(|line| line.contains(&self.id));
        line.expect("xl lists it").iter().rev().nth(1).expect("a state").contains('p')
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        run("domain_tool", &["destroy", &self.id]); // a test may have done that
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn domains_are_listed_as_xl_does() {
    let bare = Bare::create(&["--memory", "8", "--vcpus", "2"]);
    let ours = list(tool(&["list"]));
    let xls: Value = serde_json::from_str(&text("xl", &["list", "-l"])).expect("JSON");
    let described: HashMap<String, Value> =
        list(xls).into_iter().map(|domain| (domain["domid"].to_string(), domain["config"].clone())).collect();
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
        // xl leaves out what it has not made itself
        if let Some(config) = described.get(id) {
            assert_eq!(ours["uuid"], config["c_info"]["uuid"], "{config}");
            assert_eq!(ours["max_vcpus"], config["b_info"]["max_vcpus"], "{config}");
        }
    }
    assert!(described.contains_key("0"), "dom0 at least");
    let table = text("domain_tool", &["list"]);
    assert!(table.starts_with("NAME") && table.lines().count() == ours.len() + 1, "{table}");
    let info = tool(&["info", &bare.id]);
    assert_eq!((&info["max_vcpus"], &info["max_memory_kib"]), (&Value::from(2), &Value::from(8 << 10)));
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
fn vcpus_and_pools_are_listed_as_xl_does() {
    // xl wants names, so only the vCPUs of domains that it knows are compared
    let ours = list(tool(&["vcpus"]));
    for columns in xl_table(&["vcpu-list", "0"]) {
        let [.., id, vcpu, cpu, state, _, hard, _, soft] = &columns[..] else { panic!("{columns:?}") };
        let number = |text: &str| text.parse::<u64>().ok();
        let is_it =
            |line: &&Value| line["id"].as_u64() == number(id) && line["vcpu"].as_u64() == number(vcpu);
        let line = ours.iter().find(is_it);
        let line = line.expect("the same vCPU");
        assert_eq!(line["cpu"].as_u64().map_or("-".to_owned(), |cpu| cpu.to_string()), *cpu);
        assert_eq!(line["state"].as_str().map(|letters| letters.contains('p')), Some(state.contains('p')));
        for (ours, xls) in [("hard_affinity", hard), ("soft_affinity", soft)] {
            let cpus = line[ours].as_str().expect("a list");
            // who may run everywhere may run on CPU 0, and on more than there are
            assert!(cpus == xls || (xls == "all" && cpus.starts_with('0')), "{line} {columns:?}");
        }
    }
    let pools = list(tool(&["pools"]));
    let columns = xl_table(&["cpupool-list"]);
    assert_eq!(pools.len(), columns.len());
    for (pool, columns) in pools.iter().zip(&columns) {
        let [_, cpus, scheduler, _, domains] = &columns[..] else { panic!("{columns:?}") };
        assert_eq!(pool["scheduler"], Value::from(scheduler.clone()));
        assert_eq!(pool["domains"].to_string(), *domains);
        assert_eq!((&pool["cpus"], &cpus[..]), (&Value::from("0"), "1"), "the only CPU");
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_domain_is_created_and_paused_and_destroyed() {
    let bare = Bare::create(&[]);
    assert!(bare.is_paused(), "new domains are");
    text("domain_tool", &["unpause", &bare.id]);
    assert!(!bare.is_paused());
    text("domain_tool", &["pause", &bare.id]);
    assert!(bare.is_paused());
    text("domain_tool", &["destroy", &bare.id]);
    let output = run("domain_tool", &["info", &bare.id]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it is gone");
    assert!(message.contains(&format!("there is no domain {}", bare.id)), "{message}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn xen_top_prints_tables_into_a_pipe() {
    let bare = Bare::create(&[]);
    let table = text("xen_top", &["--once", "--interval", "0.5"]);
    let lines: Vec<Vec<&str>> = table.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    let xls = xl_table(&["list"]);
    let ids = |column: usize| move |line: &Vec<&str>| line[column].to_owned();
    assert_eq!(
        lines.iter().map(ids(1)).collect::<Vec<_>>(),
        xls.iter().map(|line| line.iter().rev().nth(4).expect("an id").clone()).collect::<Vec<_>>()
    );
    let [_, "0", _, _, percent, kib, ..] = lines[0][..] else { panic!("{table}") };
    let percent: f64 = percent.parse().expect("a number");
    assert!(percent > 0.0 && percent <= 105.0, "dom0 has at least counted its domains: {table}");
    let mib: u64 = xls[0][2].parse().expect("MiB");
    assert!((kib.parse::<u64>().expect("KiB") / 1024).abs_diff(mib) <= 1, "{table}");
    let idle = lines.iter().find(|line| line[1] == bare.id).expect("the bare domain");
    assert_eq!(idle[4], "0.0", "it cannot do anything: {table}");

    let mut child = Command::new("xen_top")
        .args(["--interval", "0.2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xen_top");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let headings =
        output.lines().map_while(Result::ok).filter(|line| line.starts_with("NAME")).take(2).count();
    assert_eq!(headings, 2, "one table after the other");
    let status = child.wait().expect("it ends when nobody reads");
    let mut message = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut message).expect("text");
    assert!(
        !status.success() && message.contains("Broken pipe") && !message.contains("panicked"),
        "{message}"
    );
}

/// `xen_top` on a terminal.
struct Terminal {
    child: Child,
    keyboard: File,
    seen: String,
}

impl Terminal {
    fn start() -> Self {
        let main =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&main).expect("a terminal");
        unlockpt(&main).expect("a terminal");
        let window = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&main, window).expect("a size");
        let name = ptsname(&main, Vec::new()).expect("a name");
        let open = || {
            let path = name.to_str().expect("a path");
            File::options().read(true).write(true).open(path).expect("the terminal's other side")
        };
        let side: [OwnedFd; 3] = [open().into(), open().into(), open().into()];
        let [input, output, errors] = side;
        let child = Command::new("xen_top")
            .env("TERM", "xterm")
            .args(["--interval", "0.5"])
            .stdin(input)
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("xen_top");
        Self { child, keyboard: File::from(main), seen: String::new() }
    }

    fn press(&mut self, keys: &[u8]) {
        self.seen.clear();
        self.keyboard.write_all(keys).expect("pressed");
    }

    /// Waits until a text has been written to the screen since the last key.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.seen.contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} on the screen: {:?}", self.seen);
            self.look();
        }
    }

    /// Reads what has been written to the screen; waits for it a little.
    fn look(&mut self) {
        let a_little = Duration::from_millis(200).try_into().expect("a time");
        let mut wait = [PollFd::new(&self.keyboard, PollFlags::IN)];
        if poll(&mut wait, Some(&a_little)).expect("waiting") > 0 {
            let mut bytes = [0; 4096];
            // an error is the end: nobody has the other side any more
            let count = self.keyboard.read(&mut bytes).unwrap_or(0);
            self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// Waits until the program has ended, and tells whether it is content.
    fn ends_well(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.success();
            }
            assert!(Instant::now() < deadline, "it does not end: {:?}", self.seen);
            self.look();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn xen_top_sorts_and_pauses_by_keys() {
    let bare = Bare::create(&[]);
    let below = xl_table(&["list"]).iter().position(|line| line.contains(&bare.id)).expect("xl lists it");
    let mut terminal = Terminal::start();
    terminal.wait_for("CPU(%)");
    terminal.wait_for(&bare.id);
    terminal.press(b"p");
    terminal.wait_for("cannot");
    for _ in 0..below {
        terminal.press(b"\x1b[B");
    }
    terminal.press(b"p");
    terminal.wait_for("unpause");
    assert!(!bare.is_paused());
    terminal.press(b"s");
    terminal.wait_for("sorted");
    terminal.press(b"q");
    assert!(terminal.ends_well(), "{:?}", terminal.seen);
}
