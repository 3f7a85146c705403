//! Reads what Rust's test programs print, for their counts.

use std::iter::Sum;
use std::ops::Add;

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

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

/// Listens to the output of test programs.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    unfinished: Vec<u8>,
    counts: Counts,
    programs: usize,
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
            self.counts = self.counts + counts;
            self.programs += 1;
        } else if line.starts_with("skipped: ") {
            self.counts.skipped += 1;
        }
    }

    /// The counts, if any program has told its own. A skipping test passes in libtest's eyes, so it is taken off there.
    pub(crate) fn counts(&self) -> Option<Counts> {
        let passed = self.counts.passed.saturating_sub(self.counts.skipped);
        (self.programs > 0).then_some(Counts { passed, ..self.counts })
    }
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
        assert_eq!(listener.counts(), None);
        listener.hear(b"running 2 tests\ntest a ... ok\n\nsuccesses:\n\n---- a stdout ----\nskipped: no GPU\n\ntest resu");
        listener
            .hear(b"lt: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n");
        listener.hear(b"test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n");
        assert_eq!(listener.counts(), Some(Counts { passed: 2, failed: 3, skipped: 1 }));
    }

    #[test]
    fn half_a_result_is_none() {
        let mut listener = Listener::default();
        listener.hear(b"test result: ok. 2 pas");
        assert_eq!(listener.counts(), None);
        assert_eq!(summary("test result: nonsense"), None);
    }
}
