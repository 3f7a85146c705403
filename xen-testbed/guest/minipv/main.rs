//! minipv: a tiny guest, a living peer for tests that run in dom0.
//!
//! It boots in a fraction of a second, prints one line on its console,
//! `minipv ready port=P control=R readonly=R pool=FIRST+COUNT`, and then does what dom0 asks. All its grants are for
//! dom0: the control page (read-write), a page of bytes 0, 1, 2 … (read-only), and a pool of pages (read-write, with
//! consecutive references; the first u64 of each is its index).
//!
//! dom0 writes a command into the control page and sends an event on port P. The page holds little-endian u32 words:
//!
//! | word | meaning |
//! |---|---|
//! | 0 | magic: the bytes "MINI" |
//! | 1 | events: how many the guest has taken |
//! | 2 | command: zeroed once it is done |
//! | 3 | argument of the command |
//! | 4 | done: how many commands were executed |
//! | 5 | result of the last command: 0 unless said otherwise, `0xffff_ffff` if it failed |
//! | 256… | extra ports (command 7) |
//!
//! | command | effect |
//! |---|---|
//! | 1 | fills the first page of the pool with the byte `argument` |
//! | 2 | closes port P; no event follows |
//! | 3 | revokes the read-only grant; result: its flags before (8: mapped readable, 16: mapped writable) |
//! | 4 | powers off |
//! | 5 | crashes |
//! | 6 | sends `argument` events on P |
//! | 7 | offers `argument` more ports to dom0; result: how many are listed now |
//! | 8 | sends one event on each extra port |
//! | 9 | grants the read-only page again |
//!
//! After each command the guest sends an event on P. An event that comes without a command is sent back on the same
//! port. On the console, `q` powers off, `c` crashes, and any other byte is echoed in upper case.
//!
//! Memory that others write is made of atomics, so that hardly anything but the hypercalls needs `unsafe`.
#![no_std]
#![no_main]

mod console;
mod events;
mod grants;
mod hypercall;
#[cfg_attr(target_arch = "x86_64", path = "x86.rs")]
#[cfg_attr(target_arch = "aarch64", path = "arm.rs")]
mod machine;
mod memory;

use core::fmt::Write as _;
use core::sync::atomic::Ordering;

use crate::console::Console;
use crate::events::Port;
use crate::grants::{PERMIT_ACCESS, READ_ONLY};
use crate::hypercall::{crash, power_off};
use crate::machine::StartInfo;
use crate::memory::{EMPTY, Words};

static CONTROL: Words = EMPTY;
static READ_ONLY_PAGE: Words = EMPTY;
static POOL: [Words; 600] = [EMPTY; 600];

const CONTROL_GRANT: u32 = 8; // those below are reserved
const READ_ONLY_GRANT: u32 = 9;
const POOL_GRANTS: u32 = 10;

extern "C" fn main(info: &StartInfo) -> ! {
    info.map_shared_info(&events::SHARED_INFO);
    info.map_grant_table(&grants::GRANT_TABLE);
    share_pages(info);

    let mut console = Console::new(info.console());
    let port = events::offer_port().unwrap_or_else(|| crash());
    // Exactly one line, so that whoever waits for it has nothing else to skip. The console never fails.
    let _ = writeln!(
        console,
        "minipv ready port={port} control={CONTROL_GRANT} readonly={READ_ONLY_GRANT} pool={POOL_GRANTS}+{}\r",
        POOL.len(),
    );
    Guest { console, port: Some(port), extra: [0; EXTRA_PORTS], extra_count: 0 }.run()
}

fn share_pages(info: &StartInfo) {
    CONTROL.0[word::MAGIC].store(MAGIC, Ordering::Relaxed);
    grants::grant(CONTROL_GRANT, PERMIT_ACCESS, info.frame_of(&CONTROL));

    for (word, first) in READ_ONLY_PAGE.0.iter().zip((0_u8..=255).step_by(4).cycle()) {
        word.store(u32::from_le_bytes([first, first + 1, first + 2, first + 3]), Ordering::Relaxed);
    }
    grants::grant(READ_ONLY_GRANT, PERMIT_ACCESS | READ_ONLY, info.frame_of(&READ_ONLY_PAGE));

    for ((page, index), reference) in POOL.iter().zip(0..).zip(POOL_GRANTS..) {
        page.0[0].store(index, Ordering::Relaxed);
        grants::grant(reference, PERMIT_ACCESS, info.frame_of(page));
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    crash()
}

/// The words of the control page.
mod word {
    pub(super) const MAGIC: usize = 0;
    pub(super) const EVENTS: usize = 1;
    pub(super) const COMMAND: usize = 2;
    pub(super) const ARGUMENT: usize = 3;
    pub(super) const DONE: usize = 4;
    pub(super) const RESULT: usize = 5;
    pub(super) const EXTRA_PORTS: usize = 256;
}

mod command {
    pub(super) const FILL: u32 = 1;
    pub(super) const CLOSE: u32 = 2;
    pub(super) const REVOKE: u32 = 3;
    pub(super) const POWER_OFF: u32 = 4;
    pub(super) const CRASH: u32 = 5;
    pub(super) const NOTIFY: u32 = 6;
    pub(super) const OFFER_PORTS: u32 = 7;
    pub(super) const NOTIFY_EXTRA: u32 = 8;
    pub(super) const GRANT: u32 = 9;
}

const MAGIC: u32 = 0x494e_494d;
const FAILED: u32 = u32::MAX;
/// As many as the control page has room for.
const EXTRA_PORTS: usize = 1024 - word::EXTRA_PORTS;
/// What one call can wait for (`SCHEDOP_poll`).
const POLL_PORTS: usize = 128;

struct Guest {
    console: Console,
    port: Option<Port>,
    extra: [Port; EXTRA_PORTS],
    extra_count: usize,
}

impl Guest {
    fn run(mut self) -> ! {
        loop {
            self.wait();
            events::take_pending(|port| {
                if port == self.console.port {
                    self.console.answer_input();
                } else {
                    self.answer_event(port);
                }
            });
        }
    }

    /// The extra ports beyond the limit are looked at when another port wakes us.
    fn wait(&self) {
        let mut ports = [0; POLL_PORTS];
        let watched = [self.console.port].into_iter().chain(self.port).chain(self.extra().iter().copied());
        let count = ports.iter_mut().zip(watched).map(|(slot, port)| *slot = port).count();
        events::wait(&ports[..count]);
    }

    fn extra(&self) -> &[Port] {
        &self.extra[..self.extra_count]
    }

    fn answer_event(&mut self, port: Port) {
        let words = &CONTROL.0;
        words[word::EVENTS].fetch_add(1, Ordering::Relaxed);
        let command = words[word::COMMAND].load(Ordering::Acquire);
        if command == 0 {
            events::notify(port);
            return;
        }
        let result = self.execute(command, words[word::ARGUMENT].load(Ordering::Relaxed));
        words[word::RESULT].store(result.unwrap_or(FAILED), Ordering::Relaxed);
        words[word::COMMAND].store(0, Ordering::Relaxed);
        words[word::DONE].fetch_add(1, Ordering::Release);
        self.port.into_iter().for_each(events::notify);
    }

    /// The result for the control page; None if the command is unknown or cannot be done.
    fn execute(&mut self, command: u32, argument: u32) -> Option<u32> {
        match command {
            command::FILL => memory::fill(&POOL[0], u8::try_from(argument).ok()?),
            command::CLOSE => events::close(self.port.take()?),
            command::REVOKE => return Some(grants::set_flags(READ_ONLY_GRANT, 0).into()),
            command::POWER_OFF => power_off(),
            command::CRASH => crash(),
            command::NOTIFY => {
                let port = self.port?;
                (0..argument).for_each(|_| events::notify(port));
            }
            command::OFFER_PORTS => return self.offer_extra_ports(usize::try_from(argument).ok()?),
            command::NOTIFY_EXTRA => self.extra().iter().copied().for_each(events::notify),
            command::GRANT => {
                grants::set_flags(READ_ONLY_GRANT, PERMIT_ACCESS | READ_ONLY);
            }
            _ => return None,
        }
        Some(0)
    }

    fn offer_extra_ports(&mut self, count: usize) -> Option<u32> {
        if count > EXTRA_PORTS - self.extra_count {
            return None;
        }
        for _ in 0..count {
            let port = events::offer_port()?;
            CONTROL.0[word::EXTRA_PORTS + self.extra_count].store(port, Ordering::Relaxed);
            self.extra[self.extra_count] = port;
            self.extra_count += 1;
        }
        u32::try_from(self.extra_count).ok()
    }
}
