//! What a waiting user sees: a phase line, or a bar while something is downloaded.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line on the terminal that vanishes when the work is done; other outputs see nothing of it.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Something whose end cannot be foreseen: a spinner and the time spent.
    pub(crate) fn phase(message: impl Into<String>) -> Self {
        Self::new(ProgressBar::no_length(), "{spinner} {msg} ({elapsed})", message.into())
    }

    /// Something of which the done part is known, in percent.
    pub(crate) fn percentage(message: impl Into<String>) -> Self {
        let message = message.into();
        if !stderr().is_terminal() {
            note(&message);
        }
        Self::new(ProgressBar::new(100), "{spinner} {msg} [{bar:30}] {percent}% ({elapsed})", message)
    }

    fn new(bar: ProgressBar, template: &str, message: String) -> Self {
        // indicatif draws nothing when stderr is not a terminal
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(message);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// Sets the part that is done.
    pub(crate) fn set(&self, percent: u64) {
        self.bar.set_position(percent);
    }

    /// Names the step that runs now.
    pub(crate) fn say(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// One lasting line for the user, apart from the output of the programs that run.
#[expect(clippy::print_stderr, reason = "this is the one place that talks to the user while work goes on")]
pub(crate) fn note(message: &str) {
    eprintln!("xen-testbed: {message}");
}
