//! Compares claims with somebody who knows.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::model::{Architecture, CType, Claim, Question, Version};

/// Somebody who knows C's numbers for one hypervisor on one architecture.
pub(crate) struct Oracle {
    /// Where the answers come from.
    pub(crate) kind: &'static str,
    pub(crate) version: Version,
    pub(crate) architecture: Architecture,
    pub(crate) answers: HashMap<Question, i128>,
    /// Why there is no answer, where that is known.
    pub(crate) refusals: HashMap<Question, String>,
}

impl Oracle {
    pub(crate) fn name(&self) -> String {
        format!("{} of Xen {} {}", self.kind, self.version, self.architecture)
    }

    /// Whether this hypervisor has the type.
    fn knows(&self, c_type: &CType) -> bool {
        self.answers.keys().any(|question| question.c_type() == Some(c_type))
    }
}

/// How a comparison went.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) complaints: Vec<String>,
    /// Which claims some oracle could judge.
    pub(crate) answered: BTreeSet<usize>,
    refusals: HashMap<Question, String>,
}

/// How much was compared.
#[derive(Default)]
pub(crate) struct Compared {
    records: usize,
    fields: usize,
    constants: usize,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, fields, constants } = self;
        write!(f, "{records} records, {fields} fields, {constants} constants compared")
    }
}

impl Verdict {
    /// Compares the claims that hold for this hypervisor.
    pub(crate) fn compare(&mut self, claims: &[Claim], oracle: &Oracle) -> Compared {
        let mut compared = Compared::default();
        for (index, claim) in claims.iter().enumerate() {
            if !claim.scope.covers(oracle.version, oracle.architecture) {
                continue;
            }
            let answers = claim.questions.iter().filter_map(|it| Some((it, *oracle.answers.get(it)?)));
            for (question, answer) in answers.clone() {
                self.judge(claim, question, answer, oracle);
            }
            match answers.clone().next() {
                Some((Question::Offset(..), _)) => compared.fields += 1,
                Some((Question::Size(_), _)) => compared.records += 1,
                Some((Question::Value(_), _)) => compared.constants += 1,
                Some((Question::Width(..), _)) => {}
                None => {
                    self.miss(claim, oracle);
                    continue;
                }
            }
            self.answered.insert(index);
        }
        for (question, reason) in &oracle.refusals {
            self.refusals.entry(question.clone()).or_insert_with(|| reason.clone());
        }
        compared
    }

    fn judge(&mut self, claim: &Claim, question: &Question, answer: i128, oracle: &Oracle) {
        // C's constants come as signed 64-bit integers, whatever they were
        let same = (claim.value - answer).rem_euclid(1 << 64) == 0;
        let more = claim.or_more && claim.value > answer;
        if !same && !more {
            self.complaints.push(format!(
                "{}: {question}: Rust has {}, C has {} ({})",
                claim.place,
                number(claim.value),
                number(answer),
                oracle.name(),
            ));
        }
    }

    /// A constant or a record may be newer than this hypervisor. A member of a record that is there may not.
    fn miss(&mut self, claim: &Claim, oracle: &Oracle) {
        let Some(Question::Offset(c_type, member)) = claim.questions.first() else { return };
        if oracle.knows(c_type) {
            self.complaints.push(format!(
                "{}: Rust has a member {member} at {}, C's {c_type} has none of that name ({})",
                claim.place,
                claim.value,
                oracle.name(),
            ));
        }
    }

    /// The claims that nobody could judge.
    pub(crate) fn unanswered(&self, claims: &[Claim]) -> Vec<String> {
        let left = claims.iter().enumerate().filter(|(index, _)| !self.answered.contains(index));
        left.map(|(_, claim)| {
            let question = &claim.questions[0];
            let reason = self.refusals.get(question).map_or("", String::as_str);
            format!("{}: no oracle knows the {question}. {reason}", claim.place)
        })
        .collect()
    }
}

/// In decimal, and in hexadecimal where that helps.
fn number(value: i128) -> String {
    if value < 10 { value.to_string() } else { format!("{value} ({value:#x})") }
}
