//! `xen_top`, compared with what `xl` says in the same dom0.

mod tools;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tools::{Bare, text, xl_table};
use xen_evtchn::{DomId, Evtchn};

/// Sends events to this domain while `work` is done; also tells how many came.
fn while_events_come<T: Send>(work: impl FnOnce() -> T + Send) -> (T, u32) {
    let evtchn = Evtchn::open().expect("the event channel device");
    let near = evtchn.bind_unbound(DomId::SELF).expect("an unbound port");
    let far = evtchn.bind_interdomain(DomId::SELF, near.port()).expect("a bound port");
    let mut came = 0;
    thread::scope(|scope| {
        let worker = scope.spawn(work);
        while !worker.is_finished() {
            near.notify().expect("sent");
            thread::sleep(Duration::from_millis(5)); // it needs the processor, too
            if evtchn.pending_one().expect("a port").is_some() {
                far.unmask().expect("unmasked");
                came += 1;
            }
        }
        (worker.join().expect("it has told what failed"), came)
    })
}

#[test]
#[ignore = "needs Xen dom0"]
fn xen_top_prints_tables_into_a_pipe() {
    let bare = Bare::create(&[]);
    let (table, sent) = while_events_come(|| text("xen_top", &["--once", "--interval", "0.5"]));
    let lines: Vec<Vec<&str>> = table.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    let xls = xl_table(&["list"]);
    let ids = |column: usize| move |line: &Vec<&str>| line[column].to_owned();
    assert_eq!(
        lines.iter().map(ids(1)).collect::<Vec<_>>(),
        xls.iter().map(|line| line.iter().rev().nth(4).expect("an id").clone()).collect::<Vec<_>>()
    );
    let [_, "0", _, _, percent, kib, ..] = lines[0][..] else { panic!("{table}") };
    let percent: f64 = percent.parse().expect("a number");
    assert!(percent > 0.0 && percent <= 150.0, "dom0 has at least counted its domains: {table}");
    let mib: u64 = xls[0][2].parse().expect("MiB");
    assert!((kib.parse::<u64>().expect("KiB") / 1024).abs_diff(mib) <= 1, "{table}");
    let idle = lines.iter().find(|line| line[1] == bare.id).expect("the bare domain");
    assert_eq!(idle[4], "0.0", "it cannot do anything: {table}");
    let rate = |line: &Vec<&str>| line[8].to_owned();
    let own: u64 = rate(&lines[0]).parse().expect("a number");
    assert!(own > 0 && sent > 0, "domain 0 has got {sent} events: {table}");
    assert_eq!(rate(idle), "-", "it has no devices: {table}");

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
    screen: vt100::Parser,
}

impl Terminal {
    const ROWS: u16 = 24;
    const COLUMNS: u16 = 100;

    fn start() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let main = openpt(flags).expect("a terminal");
        unlockpt(&main).expect("a terminal");
        let window = Winsize { ws_row: Self::ROWS, ws_col: Self::COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&main, window).expect("a size");
        // NOCTTY: where this program leads its session, it would be killed when its own terminal is closed
        let side = || ioctl_tiocgptpeer(&main, flags).expect("the terminal's other side");
        let [input, output, errors] = [side(), side(), side()];
        let child = Command::new("xen_top")
            .env("TERM", "xterm")
            .args(["--interval", "0.5"])
            .stdin(input)
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("xen_top");
        Self { child, keyboard: File::from(main), screen: vt100::Parser::new(Self::ROWS, Self::COLUMNS, 0) }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("pressed");
    }

    fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits until a text is on the screen.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.text().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} on the screen:\n{}", self.text());
            self.look();
        }
    }

    /// Reads what is written to the screen; waits for it a little.
    fn look(&mut self) {
        let a_little = Duration::from_millis(200).try_into().expect("a time");
        let mut wait = [PollFd::new(&self.keyboard, PollFlags::IN)];
        if poll(&mut wait, Some(&a_little)).expect("waiting") > 0 {
            let mut bytes = [0; 4096];
            // an error is the end: nobody has the other side any more
            let count = self.keyboard.read(&mut bytes).unwrap_or(0);
            self.screen.process(&bytes[..count]);
        }
    }

    /// Waits until the program has ended, and tells whether it is content.
    fn ends_well(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.success();
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.text());
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
    terminal.wait_for("EVENTS/s");
    terminal.wait_for("q quit");
    let lines = terminal.text();
    let line = lines.lines().nth(2 + below).expect("a line for the bare domain");
    assert_eq!(line.split_whitespace().nth(1), Some(&*bare.id), "{lines}");
    terminal.press(b"p");
    terminal.wait_for("cannot be paused");
    for _ in 0..below {
        terminal.press(b"\x1b[B");
    }
    terminal.press(b"p");
    terminal.wait_for(&format!("domain {} is unpaused", bare.id));
    assert!(!bare.is_paused());
    terminal.press(b"s");
    terminal.wait_for("sorted by name");
    terminal.press(b"q");
    assert!(terminal.ends_well(), "{}", terminal.text());
}
