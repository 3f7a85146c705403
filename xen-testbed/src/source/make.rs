//! Runs make, and remembers what it said last.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// So many lines tell what went wrong.
const LAST: usize = 20;

/// Runs `make`; `heard` is told how many lines it has printed. A failure carries the last of those that tell something.
pub(super) fn run(mut make: Command, heard: &dyn Fn(u64)) -> Result<()> {
    // Should this process be killed, then make is too, and all that make has started ends as soon as it prints something.
    let (ours, theirs) = UnixStream::pair().context("cannot create a channel for make's output")?;
    let theirs = OwnedFd::from(theirs);
    let errors = theirs.try_clone().context("cannot create a channel for make's errors")?;
    make.stdin(Stdio::null()).stdout(theirs).stderr(errors);
    let mut child = make.spawn().context("cannot start make")?;
    drop(make); // it holds the other end, and so would keep the output from ever ending
    let mut last = VecDeque::new();
    let mut count = 0;
    for line in BufReader::new(ours).split(b'\n') {
        let line = line.context("cannot read make's output")?;
        count += 1;
        heard(count);
        let line = String::from_utf8_lossy(&line);
        if !is_step(&line) {
            if last.len() == LAST {
                last.pop_front();
            }
            last.push_back(line.into_owned());
        }
    }
    let status = child.wait().context("cannot wait for make")?;
    if !status.success() {
        bail!("make failed ({status}). Its last words:\n{}", last.make_contiguous().join("\n"));
    }
    Ok(())
}

/// Whether the line only names what is made now, as in `  CC      common/domain.o`. After an error, the other jobs print many more.
fn is_step(line: &str) -> bool {
    let Some((verb, _)) = line.strip_prefix("  ").and_then(|rest| rest.split_once(' ')) else { return false };
    !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn run_script(script: &str) -> (Result<()>, u64) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let count = Cell::new(0);
        let result = run(command, &|lines| count.set(lines));
        (result, count.get())
    }

    #[test]
    fn lines_are_counted_and_a_success_is_one() {
        let (result, lines) = run_script("echo CC a.o; echo a warning >&2; printf 'no end of line'");
        result.expect("the script succeeds");
        assert_eq!(lines, 3);
    }

    #[test]
    fn steps_are_told_from_complaints() {
        assert!(is_step("  CC      common/domain.o") && is_step("  INIT_O  common/kexec.init.o"));
        assert!(!is_step("common/domain.c:7:1: error: made up") && !is_step("   12 | int x;"));
        assert!(!is_step("  in the function `main'") && !is_step(""));
    }

    #[test]
    fn a_failure_carries_the_last_lines() {
        let (result, lines) =
            run_script("seq 100; echo 'a.c:1: error: no' >&2; echo '  CC      b.o'; exit 2");
        let error = result.expect_err("the script fails").to_string();
        assert_eq!(lines, 102);
        assert!(error.contains("exit status: 2") && error.ends_with("\n100\na.c:1: error: no"), "{error}");
        assert!(error.contains("\n82\n") && !error.contains("\n81\n"), "{error}");
    }
}
