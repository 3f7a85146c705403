//! Xen's and dom0's serial console: kept in a log, and watched for the words of a dying hypervisor or kernel.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

/// Marks of the end, and who says them.
const ALARMS: [(&str, &str); 7] = [
    ("Panic on CPU", "Xen has panicked"),
    ("Xen BUG at", "Xen has panicked"),
    ("Hardware Dom0 crashed", "dom0 has crashed"),
    ("Kernel panic", "dom0's kernel has panicked"),
    ("Oops", "dom0's kernel had an oops"),
    ("BUG:", "dom0's kernel found a bug"),
    ("general protection fault", "dom0's kernel had a fault"),
];

/// Lines before an alarm that may explain it, and after it.
const BEFORE: usize = 15;
const AFTER: usize = 45;

/// What in the answers of a machine that hangs tells most, and how many such lines.
const TELLING: [&str; 6] = ["Comm:", "RIP:", "PC:", "CONTEXT", "[<", "VCPU"];
const TELLING_LINES: usize = 40;

/// The console's log and what was found in it.
#[derive(Debug)]
pub(crate) struct Console {
    path: PathBuf,
    log: BufWriter<File>,
    start: Instant,
    unfinished: Vec<u8>,
    last: VecDeque<String>,
    alarm: Option<Alarm>,
    /// What the machine said when it was asked what it is doing.
    answers: Option<Vec<String>>,
}

#[derive(Debug)]
struct Alarm {
    cause: &'static str,
    lines: Vec<String>,
}

impl Console {
    /// Starts the log at `path` anew.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let log = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            log: BufWriter::new(log),
            start: Instant::now(),
            unfinished: Vec::new(),
            last: VecDeque::new(),
            alarm: None,
            answers: None,
        })
    }

    /// What comes from now on is what the machine was asked for.
    pub(crate) fn expect_answers(&mut self) {
        self.answers = Some(Vec::new());
    }

    /// Takes what the console printed.
    pub(crate) fn receive(&mut self, data: &[u8]) -> Result<()> {
        self.unfinished.extend_from_slice(data);
        while let Some(end) = self.unfinished.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unfinished.drain(..=end).collect();
            self.line(String::from_utf8_lossy(&line).trim_end().to_owned())?;
        }
        self.log.flush().with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn line(&mut self, line: String) -> Result<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        writeln!(self.log, "[{seconds:8.3}] {line}")
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        if let Some(answers) = &mut self.answers {
            if TELLING.iter().any(|mark| line.contains(mark)) && answers.len() < TELLING_LINES {
                answers.push(line);
            }
            return Ok(());
        }
        match &mut self.alarm {
            Some(alarm) if alarm.lines.len() < BEFORE + AFTER => alarm.lines.push(line),
            Some(_) => {}
            None => self.watch(line),
        }
        Ok(())
    }

    fn watch(&mut self, line: String) {
        let cause = cause(&line);
        self.last.push_back(line);
        if self.last.len() > BEFORE {
            self.last.pop_front();
        }
        if let Some(cause) = cause {
            self.alarm = Some(Alarm { cause, lines: self.last.drain(..).collect() });
        }
    }

    /// Whether something has died.
    pub(crate) fn is_alarmed(&self) -> bool {
        self.alarm.is_some()
    }

    /// What to tell the user about the end of a machine: who died, what it answered, its last words, where all the rest is.
    pub(crate) fn report(&self) -> String {
        let answers = match &self.answers {
            None => String::new(),
            Some(lines) if lines.is_empty() => "asked what they are doing, Xen and dom0 say nothing; ".into(),
            Some(lines) => {
                format!("asked what they are doing, Xen and dom0 say:\n{}\n", indent(lines.iter()))
            }
        };
        let words = match &self.alarm {
            Some(alarm) => format!("{}:\n{}\n", alarm.cause, indent(alarm.lines.iter())),
            None if self.last.is_empty() => "the console was silent ".into(),
            None => format!("the console's last lines were:\n{}\n", indent(self.last.iter())),
        };
        format!("{answers}{words}(the whole console is in {})", self.path.display())
    }
}

fn cause(line: &str) -> Option<&'static str> {
    // "(d1)" and so on: Xen repeats what a guest printed
    if line.starts_with("(d") {
        return None;
    }
    ALARMS.iter().find(|(mark, _)| line.contains(mark)).map(|(_, cause)| *cause)
}

fn indent<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    lines.map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(said: &str) -> Console {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut console = Console::new(&folder.path().join("log")).expect("a log");
        console.receive(said.as_bytes()).expect("writing to the log");
        console
    }

    #[test]
    fn a_panic_is_recognised_with_its_surroundings() {
        let console = console(
            "(XEN) Xen call trace:\r\n(XEN) Panic on CPU 0:\r\n(XEN) FATAL TRAP: vector = 13\r\n(XEN) Reboot in five seconds...\r\n",
        );
        assert!(console.is_alarmed());
        let report = console.report();
        assert!(report.starts_with("Xen has panicked:\n    (XEN) Xen call trace:\n"), "{report}");
        assert!(report.contains("vector = 13\n"), "{report}");
    }

    #[test]
    fn an_oops_is_recognised_across_pieces() {
        let mut console = console("[ 1.2] BUG: kernel NULL poin");
        assert!(!console.is_alarmed(), "the line is not finished");
        console.receive(b"ter dereference\n").expect("writing to the log");
        assert!(console.is_alarmed());
    }

    #[test]
    fn telling_answers_are_picked() {
        let mut console = console("booted\n");
        console.expect_answers();
        console.receive(b"[ 9.1] CPU: 0 PID: 124 Comm: hangs\n(XEN) rax: 0\n").expect("writing to the log");
        let report = console.report();
        let beginning = "asked what they are doing, Xen and dom0 say:\n    [ 9.1] CPU: 0 PID: 124 Comm: hangs\nthe console's last lines were:\n    booted\n";
        assert!(report.starts_with(beginning), "{report}");
    }

    #[test]
    fn ordinary_lines_and_guests_are_no_alarm() {
        let console = console("(XEN) Dom0 has maximum 1 VCPUs\n(d3) Kernel panic - not syncing\n");
        assert!(!console.is_alarmed());
        assert!(console.report().contains("last lines"));
    }
}
