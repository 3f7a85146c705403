//! A tiny living guest of the test bed, and its control page.

use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use xen_evtchn::{EventChannel, Evtchn};
use xen_gnttab::{DomId, Gnttab, GrantMapping, GrantRef, Port};

/// Commands that the guest takes.
pub(crate) mod command {
    pub(crate) const FILL: u32 = 1;
    pub(crate) const CLOSE_PORT: u32 = 2;
    pub(crate) const REVOKE: u32 = 3;
    pub(crate) const CRASH: u32 = 5;
    pub(crate) const SEND: u32 = 6;
    pub(crate) const OFFER_PORTS: u32 = 7;
    pub(crate) const SEND_ON_EXTRA_PORTS: u32 = 8;
    pub(crate) const GRANT_AGAIN: u32 = 9;
}

/// Byte offsets in the control page.
pub(crate) mod word {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const EVENTS: usize = 4;
    pub(crate) const COMMAND: usize = 8;
    pub(crate) const ARGUMENT: usize = 12;
    pub(crate) const DONE: usize = 16;
    pub(crate) const RESULT: usize = 20;
    pub(crate) const EXTRA_PORTS: usize = 1024;
}

/// A guest that was started for a test, and is destroyed after it.
pub(crate) struct MiniGuest {
    name: String,
    pub(crate) domain: DomId,
    pub(crate) port: Port,
    pub(crate) read_only: GrantRef,
    pub(crate) pool: Vec<GrantRef>,
    pub(crate) evtchn: Evtchn,
    pub(crate) channel: EventChannel,
    pub(crate) control: GrantMapping,
}

impl MiniGuest {
    /// The guest that the tests of this program share, as if it were new: to start one takes most of a second.
    pub(crate) fn shared() -> MutexGuard<'static, Self> {
        static SHARED: OnceLock<(Mutex<MiniGuest>, Child)> = OnceLock::new();
        let (guest, _) = SHARED.get_or_init(|| (Mutex::new(Self::start("shared")), stop_after_us("shared")));
        let guest = guest.lock().unwrap_or_else(PoisonError::into_inner);
        guest.settle();
        assert_eq!(guest.command(command::GRANT_AGAIN, 0), 0);
        let pool = Gnttab::open().expect("the grant device").map(guest.domain, &guest.pool).expect("mapped");
        for index in 0..pool.pages() {
            pool.write(index * 4096, &(index as u64)).expect("inside");
        }
        guest
    }

    /// A guest for one test.
    pub(crate) fn start(name: &str) -> Self {
        let line = guest(&["mini", name]);
        let field = |key: &str| {
            let value = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("no {key} in '{line}'"))
        };
        let number = |text: &str| text.parse::<u32>().unwrap_or_else(|error| panic!("'{text}': {error}"));
        let domain = field("domid").parse().expect("a domain");
        let port = Port::new(number(field("port")));
        let (first, count) = field("pool").split_once('+').expect("FIRST+COUNT");
        let pool = (number(first)..number(first) + number(count)).map(GrantRef::new).collect();
        let control = GrantRef::new(number(field("control")));
        let control = Gnttab::open().expect("the grant device").map(domain, &[control]).expect("mapped");
        let evtchn = Evtchn::open().expect("the event channel device");
        let channel = evtchn.bind_interdomain(domain, port).expect("bound");
        let read_only = GrantRef::new(number(field("readonly")));
        let guest = Self { name: name.into(), domain, port, read_only, pool, evtchn, channel, control };
        guest.settle();
        guest
    }

    /// Takes and unmasks events until none came for a while.
    pub(crate) fn settle(&self) {
        while self.take(Duration::from_millis(50)) {}
    }

    /// Takes and unmasks one event; false if none came.
    pub(crate) fn take(&self, timeout: Duration) -> bool {
        let came = self.evtchn.wait(Some(timeout)).expect("wait");
        if came {
            let mut ports = [Port::default(); 16];
            let count = self.evtchn.pending(&mut ports).expect("ports");
            self.evtchn.unmask(&ports[..count]).expect("unmasked");
        }
        came
    }

    pub(crate) fn word(&self, offset: usize) -> u32 {
        self.control.load_u32(offset).expect("inside")
    }

    /// Gives a command, without waiting for it.
    pub(crate) fn order(&self, command: u32, argument: u32) {
        self.control.write(word::ARGUMENT, &argument).expect("inside");
        let order = self.control.atomic_u32(word::COMMAND).expect("inside");
        order.store(command, std::sync::atomic::Ordering::Release);
        self.channel.notify().expect("sent");
    }

    /// Gives a command, waits until it is done, and returns its result.
    pub(crate) fn command(&self, command: u32, argument: u32) -> u32 {
        let before = self.word(word::DONE);
        self.order(command, argument);
        for _ in 0..600 {
            self.take(Duration::from_millis(100));
            if self.word(word::DONE) != before {
                return self.word(word::RESULT);
            }
        }
        panic!("command {command} was not done; console:\n{}", guest(&["log", &self.name]));
    }
}

impl Drop for MiniGuest {
    fn drop(&mut self) {
        // A test may have stopped it already.
        let _ = Command::new("guest").args(["stop", &self.name]).output();
    }
}

/// Stops a guest once this process has ended, in whatever way: its end of the pipe is closed then.
fn stop_after_us(name: &str) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat; exec guest stop \"$0\"", name]);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell")
}

/// Runs the test bed's guest command in dom0.
pub(crate) fn guest(arguments: &[&str]) -> String {
    let output = Command::new("guest").args(arguments).output().expect("the guest command of the test bed");
    assert!(output.status.success(), "guest {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
