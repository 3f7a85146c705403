//! One cell's machine, on which the test programs run one after another.

use std::time::{Duration, Instant};

use super::bundle::{Bundle, Step};
use super::report::Row;
use super::transcript::Transcript;
use crate::cells::Cell;
use crate::cli::Test;
use crate::libtest::{Listener, Results};
use crate::machine::{Machine, Workshop};
use crate::progress::{Progress, note};

/// Beyond the limit of the test program itself, which is enforced in dom0.
const GRACE: Duration = Duration::from_secs(20);

/// The machine, and all it takes to start another one.
pub(super) struct Bench<'a> {
    pub(super) workshop: Workshop<'a>,
    pub(super) cell: &'static Cell,
    pub(super) options: &'a Test,
    pub(super) bundle: &'a Bundle,
    pub(super) machine: Option<Machine>,
}

impl Bench<'_> {
    /// Runs everything. If machines die before they do anything, the cell is given up after the second one.
    pub(super) fn run(&mut self) -> Vec<Row> {
        const TRIES: usize = 2;
        let mut rows = Vec::new();
        let mut stillborn = 0;
        for step in &self.bundle.steps {
            let start = Instant::now();
            let results = match self.machine() {
                Ok(machine) => self.perform(machine, step),
                Err(error) => {
                    note(&format!("{}: {error:#}", self.cell.name));
                    stillborn += 1;
                    Results::failure(format!("{error:#}"))
                }
            };
            let row = Row {
                cell: self.cell.name.into(),
                program: step.name.clone(),
                results,
                duration: start.elapsed(),
            };
            note(&row.to_string());
            rows.push(row);
            if stillborn == TRIES {
                break;
            }
        }
        rows
    }

    /// The machine that the last program left, or a new one.
    fn machine(&mut self) -> anyhow::Result<Machine> {
        let boot = &self.options.boot;
        self.machine.take().map_or_else(
            || Machine::start(&self.workshop, boot.setup(self.cell), &self.bundle.archive(), boot.fresh),
            Ok,
        )
    }

    /// Performs one step. If the machine dies of it, that is the step's failure, and the next one gets a new machine.
    fn perform(&mut self, mut machine: Machine, step: &Step) -> Results {
        let limit = self.options.boot.limit() + GRACE;
        let mut transcript = Transcript::new(self.options.verbose);
        let progress = Progress::phase(format!("{} on {}", step.name, self.cell.name));
        let ended = machine.run(step.script, limit, &mut |stream, data| transcript.take(stream, data));
        drop(progress);
        let mut results = match ended {
            Ok(status) => {
                self.machine = Some(machine);
                judge(transcript.listener(), step, status, self.options.boot.timeout)
            }
            Err(error) => {
                note(&format!("{} on {}: {error:#}", step.name, self.cell.name));
                let mut results = transcript.listener().results();
                results.add_failure(format!("{error:#}"));
                results
            }
        };
        if let Err(error) = transcript.close(&results) {
            results.add_failure(format!("its output cannot be shown: {error}"));
        }
        results
    }
}

/// A program that fails without saying which test did counts as one failure.
fn judge(listener: &Listener, step: &Step, status: u8, limit: u64) -> Results {
    const KILLED: u8 = 128 + 9;
    let mut results = listener.results();
    let missing = step.programs.saturating_sub(listener.programs());
    if missing > 0 {
        results.add_failure(match status {
            KILLED => format!("killed without a result; it may take {limit} seconds (--timeout)"),
            _ => format!("it ended with status {status} and without {missing} of {} results", step.programs),
        });
    } else if status != 0 && results.counts.failed == 0 {
        results.add_failure(format!("it ended with status {status}, although no test failed"));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] = b"test result: ok. 3 passed; 0 failed; 0 ignored; finished in 1s\n";

    fn judged(output: &[u8], programs: usize, status: u8) -> Results {
        let mut listener = Listener::default();
        listener.hear(output);
        judge(&listener, &Step { script: 1, name: "x".into(), programs }, status, 60)
    }

    #[test]
    fn judgement() {
        assert_eq!(judged(GOOD, 1, 0).counts.failed, 0);
        assert_eq!(judged(GOOD, 1, 101).counts.failed, 1, "a bad exit status is a failure");
        assert_eq!(judged(GOOD, 2, 0).counts.failed, 1, "and so is a missing result");
        let killed = judged(b"test a ... ok\ntest result: ok. 3 pas", 1, 137);
        assert!(killed.counts.failed == 1 && killed.failures[0].contains("--timeout"), "{killed:?}");
    }
}
