//! What a program prints, cut out of what its line brings.
//!
//! The agent's answers come on a line of their own, and QEMU may be slow with one line while it serves another. So the agent puts a
//! mark before and after each program's output, and a run is over when both have come.

use std::io;

use crate::machine::Stream;

/// What the agent writes before and after a program's output. No text has its first byte.
pub(super) const MARK: &str = "\u{1e}output of d4c9f3a1e07b4c52\u{1e}";

/// One of a program's two outputs.
#[derive(Debug)]
pub(super) struct Output {
    stream: Stream,
    /// How many marks there have been; none of another run is on the way.
    marks: u8,
    /// The end of what has come, if a mark may begin there.
    held: Vec<u8>,
}

impl Output {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, marks: 0, held: Vec::new() }
    }

    /// Before a program is started.
    pub(super) fn begin(&mut self) {
        *self = Self::new(self.stream);
    }

    /// Whether all of it has come.
    pub(super) fn is_complete(&self) -> bool {
        self.marks >= 2
    }

    /// Takes a piece of what has come; the program's part of it goes to `sink`.
    pub(super) fn take(
        &mut self,
        data: &[u8],
        sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.held.extend_from_slice(data);
        let mark = MARK.as_bytes();
        while let Some(at) = self.held.windows(mark.len()).position(|window| window == mark) {
            self.pass_on(at, sink)?;
            self.held.drain(..mark.len());
            self.marks = self.marks.saturating_add(1);
        }
        let may_begin = |length: &usize| self.held.ends_with(&mark[..*length]);
        let held_back = (1..mark.len()).rev().find(may_begin).unwrap_or(0);
        self.pass_on(self.held.len() - held_back, sink)
    }

    /// Takes so many bytes off; what is outside of the marks is from a program that an earlier one has left running.
    fn pass_on(
        &mut self,
        length: usize,
        sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let is_within = self.marks == 1;
        let bytes: Vec<u8> = self.held.drain(..length).collect();
        if is_within && !bytes.is_empty() { sink(self.stream, &bytes) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(pieces: &[&[u8]]) -> (String, bool) {
        let mut output = Output::new(Stream::Output);
        let mut text = Vec::new();
        for piece in pieces {
            output
                .take(piece, &mut |_, data| {
                    text.extend_from_slice(data);
                    Ok(())
                })
                .expect("taken");
        }
        (String::from_utf8(text).expect("text"), output.is_complete())
    }

    #[test]
    fn only_what_is_between_the_marks_counts() {
        let all = format!("old{MARK}one\ntwo{MARK}left running");
        assert_eq!(heard(&[all.as_bytes()]), ("one\ntwo".into(), true));
        let bytes: Vec<&[u8]> = all.as_bytes().chunks(1).collect();
        assert_eq!(heard(&bytes), ("one\ntwo".into(), true), "in any pieces");
    }

    #[test]
    fn nothing_is_held_back_that_cannot_be_a_mark() {
        let half = &MARK[..9];
        let begun = format!("{MARK}prompt: ");
        assert_eq!(heard(&[begun.as_bytes()]), ("prompt: ".into(), false));
        assert_eq!(heard(&[begun.as_bytes(), half.as_bytes()]), ("prompt: ".into(), false));
        assert_eq!(heard(&[begun.as_bytes(), half.as_bytes(), b"!"]), (format!("prompt: {half}!"), false));
    }

    #[test]
    fn a_silent_program_is_complete() {
        assert_eq!(heard(&[MARK.as_bytes(), MARK.as_bytes()]), (String::new(), true));
    }
}
