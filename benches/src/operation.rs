//! An operation, and the ways to do it.

use anyhow::Result;

/// What is measured.
pub(crate) struct Operation {
    pub(crate) name: String,
    /// How many items one run does: ports, grants, pages.
    pub(crate) units: u32,
    /// How many runs there are between two looks at the clock; more than one for what takes a few instructions.
    pub(crate) repeat: u32,
    /// With the crates of this workspace.
    pub(crate) ours: Side,
    /// With the C libraries, or why that cannot be.
    pub(crate) c: Option<Result<Side>>,
    /// With nothing but system calls, whose arguments were prepared.
    pub(crate) floor: Option<Side>,
}

impl Operation {
    /// One item a run, and nothing to compare with.
    pub(crate) fn new(name: impl Into<String>, ours: Side) -> Self {
        Self { name: name.into(), units: 1, repeat: 1, ours, c: None, floor: None }
    }

    /// How many items one run does.
    pub(crate) fn units(self, units: u32) -> Self {
        Self { units, ..self }
    }

    /// How many runs there are between two looks at the clock. Nothing is prepared between these runs.
    pub(crate) fn repeat(self, repeat: u32) -> Self {
        Self { repeat, ..self }
    }

    /// The same with the C libraries, if they could be loaded.
    pub(crate) fn c(self, c: Result<Side>) -> Self {
        Self { c: Some(c), ..self }
    }

    /// The same with bare system calls.
    pub(crate) fn floor(self, floor: Side) -> Self {
        Self { floor: Some(floor), ..self }
    }
}

/// One way to do an operation.
pub(crate) struct Side(Box<dyn Steps>);

trait Steps {
    fn prepare(&mut self);
    fn run(&mut self);
}

struct Prepared<S, P, R> {
    state: S,
    prepare: P,
    run: R,
}

impl<S, P: FnMut(&mut S), R: FnMut(&mut S)> Steps for Prepared<S, P, R> {
    fn prepare(&mut self) {
        (self.prepare)(&mut self.state);
    }

    fn run(&mut self) {
        (self.run)(&mut self.state);
    }
}

impl Side {
    /// Needs no preparation.
    pub(crate) fn new(mut run: impl FnMut() + 'static) -> Self {
        Self::prepared((), |()| (), move |()| run())
    }

    /// Needs no preparation, but something that is to live as long.
    pub(crate) fn with<S: 'static>(state: S, run: impl FnMut(&mut S) + 'static) -> Self {
        Self::prepared(state, |_| (), run)
    }

    /// `prepare` goes before each `run`, and is not measured.
    pub(crate) fn prepared<S: 'static>(
        state: S,
        prepare: impl FnMut(&mut S) + 'static,
        run: impl FnMut(&mut S) + 'static,
    ) -> Self {
        Self(Box::new(Prepared { state, prepare, run }))
    }

    pub(crate) fn prepare(&mut self) {
        self.0.prepare();
    }

    pub(crate) fn run(&mut self) {
        self.0.run();
    }
}
