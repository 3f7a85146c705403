//! The interactive shell: this terminal becomes dom0's.

use std::io::{self, IsTerminal, Read, Write, stdin, stdout};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::session::{Session, drain, exit_status};

/// How long a silent terminal is waited for before looking round.
const NAP: Duration = Duration::from_secs(3600);

/// Our terminal in raw mode; dropping puts it back.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    fn enter() -> Result<Self> {
        let before = tcgetattr(stdin()).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Drain, &raw).context("cannot change the terminal's settings")?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // nothing better can be done than what the user does: `reset`
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Connects this terminal with a shell in dom0 until that ends.
pub(super) fn converse(session: &mut Session) -> Result<u8> {
    if !stdin().is_terminal() {
        bail!("an interactive shell needs a terminal");
    }
    let size = tcgetwinsize(stdin()).context("cannot read the terminal's size")?;
    session.send(&format!("shell {} {}", size.ws_row.max(2), size.ws_col.max(20)))?;
    let _raw = RawTerminal::enter()?;
    loop {
        session.wait(Instant::now() + NAP, &[&stdin(), &session.sockets.terminal])?;
        let answer = session.receive(&mut |_, data| show(data))?;
        drain(&session.sockets.terminal, show)?;
        if let Some(answer) = answer {
            return exit_status(&answer);
        }
        if rustix::io::ioctl_fionread(stdin()).context("cannot look at the terminal")? > 0 {
            let mut typed = [0; 1024];
            let length = stdin().lock().read(&mut typed).context("cannot read from the terminal")?;
            send(session, &typed[..length])?;
        }
    }
}

fn show(data: &[u8]) -> io::Result<()> {
    stdout().write_all(data)?;
    stdout().flush()
}

/// The machine takes typed bytes at once, except when a lot is pasted; then its echo must be read in between.
fn send(session: &mut Session, mut typed: &[u8]) -> Result<()> {
    while !typed.is_empty() {
        match (&session.sockets.terminal).write(typed) {
            Ok(length) => typed = &typed[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                drain(&session.sockets.terminal, show)?;
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error).context("cannot write to the machine"),
        }
    }
    Ok(())
}
