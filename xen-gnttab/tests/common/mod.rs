//! A tiny living guest of the test bed, and its control page.

use std::process::Command;
use std::time::Duration;
use xen_evtchn::{EventChannel, Evtchn};
use xen_gnttab::{DomId, Gnttab, GrantMapping, GrantRef, Port};

/// Commands that the guest takes.
pub mod command {
    pub const FILL: u32 = 1;
    pub const CLOSE_PORT: u32 = 2;
    pub const REVOKE: u32 = 3;
    pub const CRASH: u32 = 5;
    pub const SEND: u32 = 6;
    pub const OFFER_PORTS: u32 = 7;
    pub const SEND_ON_EXTRA_PORTS: u32 = 8;
    pub const GRANT_AGAIN: u32 = 9;
}

/// Byte offsets in the control page.
pub mod word {
    pub const MAGIC: usize = 0;
    pub const EVENTS: usize = 4;
    pub const COMMAND: usize = 8;
    pub const ARGUMENT: usize = 12;
    pub const DONE: usize = 16;
    pub const RESULT: usize = 20;
    pub const EXTRA_PORTS: usize = 1024;
}

/// A guest that was started for a test, and is destroyed after it.
pub struct MiniGuest {
    name: String,
    pub domain: DomId,
    pub port: Port,
    pub read_only: GrantRef,
    pub pool: Vec<GrantRef>,
    pub evtchn: Evtchn,
    pub channel: EventChannel,
    pub control: GrantMapping,
}

impl MiniGuest {
    pub fn start(name: &str) -> Self {
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
    pub fn settle(&self) {
        while self.take(Duration::from_millis(100)) {}
    }

    /// Takes and unmasks one event; false if none came.
    pub fn take(&self, timeout: Duration) -> bool {
        let came = self.evtchn.wait(Some(timeout)).expect("wait");
        if came {
            let mut ports = [Port::default(); 16];
            let count = self.evtchn.pending(&mut ports).expect("ports");
            self.evtchn.unmask(&ports[..count]).expect("unmasked");
        }
        came
    }

    pub fn word(&self, offset: usize) -> u32 {
        self.control.load_u32(offset).expect("inside")
    }

    /// Gives a command, without waiting for it.
    pub fn order(&self, command: u32, argument: u32) {
        self.control.write(word::ARGUMENT, &argument).expect("inside");
        let order = self.control.atomic_u32(word::COMMAND).expect("inside");
        order.store(command, std::sync::atomic::Ordering::Release);
        self.channel.notify().expect("sent");
    }

    /// Gives a command, waits until it is done, and returns its result.
    pub fn command(&self, command: u32, argument: u32) -> u32 {
        let before = self.word(word::DONE);
        self.order(command, argument);
        for _ in 0..100 {
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

/// Runs the test bed's guest command in dom0.
pub fn guest(arguments: &[&str]) -> String {
    let output = Command::new("guest").args(arguments).output().expect("the guest command of the test bed");
    assert!(output.status.success(), "guest {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
