//! Reads what Rust's test programs print: which tests went how.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// How many tests went how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Succeeded.
    pub(crate) passed: u64,
    /// Failed.
    pub(crate) failed: u64,
    /// Found that this machine has not what they need.
    pub(crate) skipped: u64,
}

impl Counts {
    /// All of them.
    pub(crate) fn total(self) -> u64 {
        self.passed + self.failed + self.skipped
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

/// What test programs told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Results {
    /// The numbers.
    pub(crate) counts: Counts,
    /// What failed: tests by name, or a program or machine in words. More lines tell more about it.
    pub(crate) failures: Vec<String>,
    /// Why tests were skipped, one reason for each of them.
    pub(crate) reasons: Vec<String>,
}

impl Results {
    /// Nothing ran, and that is a failure.
    pub(crate) fn failure(what: String) -> Self {
        let counts = Counts { failed: 1, ..Counts::default() };
        Self { counts, failures: vec![what], reasons: Vec::new() }
    }

    /// Nothing ran, and that is all right.
    pub(crate) fn skip(reason: String) -> Self {
        let counts = Counts { skipped: 1, ..Counts::default() };
        Self { counts, failures: Vec::new(), reasons: vec![reason] }
    }

    /// Adds a failure that no test has told of.
    pub(crate) fn add_failure(&mut self, what: String) {
        self.counts.failed += 1;
        self.failures.push(what);
    }
}

/// Listens to the output of test programs.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    unfinished: Vec<u8>,
    results: Results,
    programs: usize,
    /// The failure that is being explained.
    explained: Option<usize>,
}

impl Listener {
    /// Takes a piece of output.
    pub(crate) fn hear(&mut self, data: &[u8]) {
        self.unfinished.extend_from_slice(data);
        while let Some(end) = self.unfinished.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unfinished.drain(..=end).collect();
            self.line(String::from_utf8_lossy(&line).trim_end());
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(counts) = summary(line) {
            self.results.counts += counts;
            self.programs += 1;
            self.explained = None;
        } else if let Some(name) = heading(line) {
            self.explained = self.results.failures.iter().rposition(|failure| failure == name);
        } else if let Some(failure) = self.explained.and_then(|index| self.results.failures.get_mut(index)) {
            if !line.is_empty() {
                failure.extend(["\n", line]);
            }
        } else if let Some(reason) = line.strip_prefix("skipped: ") {
            self.results.reasons.push(reason.to_owned());
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"))
        {
            self.results.failures.push(name.to_owned());
        }
    }

    /// How many programs came to their end.
    pub(crate) fn programs(&self) -> usize {
        self.programs
    }

    /// What was told so far. A skipping test passes in libtest's eyes, so it is taken off there.
    pub(crate) fn results(&self) -> Results {
        let mut results = self.results.clone();
        results.counts.skipped = results.reasons.len() as u64;
        results.counts.passed = results.counts.passed.saturating_sub(results.counts.skipped);
        // a program that died in the middle has told of failures that no summary counts
        results.counts.failed = results.counts.failed.max(results.failures.len() as u64);
        results
    }
}

/// The test whose output begins; no test if a list does.
fn heading(line: &str) -> Option<&str> {
    let is_list = ["successes:", "failures:"].contains(&line);
    if is_list { Some("") } else { line.strip_prefix("---- ")?.strip_suffix(" stdout ----") }
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; …`
fn summary(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| {
        let field = numbers.split("; ").find(|field| field.ends_with(word))?;
        field.split(' ').next()?.parse().ok()
    };
    Some(Counts { passed: number(" passed")?, failed: number(" failed")?, skipped: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_programs() {
        let mut listener = Listener::default();
        listener.hear(b"running 2 tests\ntest a ... ok\n\nsuccesses:\n\n---- a stdout ----\nskipped: no GPU\n\ntest resu");
        listener
            .hear(b"lt: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n");
        listener.hear(b"test b::c ... FAILED\ntest result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n");
        let results = listener.results();
        assert_eq!(results.counts, Counts { passed: 2, failed: 3, skipped: 1 });
        assert_eq!((results.failures, results.reasons), (vec!["b::c".into()], vec!["no GPU".into()]));
        assert_eq!(listener.programs(), 2);
    }

    #[test]
    fn failures_are_explained() {
        let mut listener = Listener::default();
        listener.hear(b"test a ... FAILED\ntest b ... ok\nsuccesses:\n\n---- b stdout ----\nfine\n\nsuccesses:\n    b\n");
        listener.hear(b"failures:\n\n---- a stdout ----\n\nthread 'a' panicked at a.rs:1:2:\nskipped: no\n\nfailures:\n    a\n\n");
        listener.hear(b"test result: FAILED. 1 passed; 1 failed; 0 ignored; finished in 1s\nskipped: yes\n");
        let results = listener.results();
        assert_eq!(results.failures, ["a\nthread 'a' panicked at a.rs:1:2:\nskipped: no"]);
        assert_eq!(results.reasons, ["yes"]);
    }

    #[test]
    fn half_a_result_is_none() {
        let mut listener = Listener::default();
        listener.hear(b"test a ... FAILED\ntest result: ok. 2 pas");
        assert_eq!(listener.programs(), 0);
        assert_eq!(listener.results().counts.failed, 1, "what was told before still counts");
        assert_eq!(summary("test result: nonsense"), None);
    }
}
