//! Turns what the sources say into claims, and complains about what they fail to say.

use syn::{Expr, Type};

use crate::evaluate::{Value, evaluate};
use crate::model::{CType, Claim, Question, Scope};
use crate::source::{Field, Layout, Record, Source, type_name};

/// What is to be compared, and what is missing.
pub(crate) struct Claims {
    pub(crate) list: Vec<Claim>,
    pub(crate) complaints: Vec<String>,
}

/// The table of exemptions, and which of its entries were of use.
struct Exemptions<'a> {
    entries: &'a [(&'a str, &'a str)],
    used: Vec<bool>,
}

impl Exemptions<'_> {
    fn exempts(&mut self, item: &str) -> bool {
        let mut exempt = false;
        for ((entry, _), used) in self.entries.iter().zip(&mut self.used) {
            if *entry == item {
                *used = true;
                exempt = true;
            }
        }
        exempt
    }
}

impl Claims {
    pub(crate) fn of(source: &Source, exemptions: &[(&str, &str)]) -> Self {
        let mut exemptions = Exemptions { entries: exemptions, used: vec![false; exemptions.len()] };
        let mut claims = Self { list: Vec::new(), complaints: source.complaints.clone() };
        for record in &source.records {
            claims.check_record(source, record, &mut exemptions);
        }
        for layout in &source.layouts {
            if !source.records.iter().any(|record| is_of(layout, record)) {
                claims.complain(&layout.file, &layout.record, "has a layout!, but is no record of this file");
            }
        }
        for constant in &source.constants {
            let (file, name) = (&constant.file, &constant.name);
            if exemptions.exempts(name) {
                continue;
            }
            if constant.c_names.is_empty() {
                claims.complain(
                    file,
                    name,
                    "has no C name: give it one, #[doc(alias = \"NAME\")], or an entry in exemptions.rs",
                );
            }
            let Value::Number(value) = constant.value else {
                claims.complain(file, name, "has a value that the oracle cannot tell: write it as a number");
                continue;
            };
            for c_name in &constant.c_names {
                let question = vec![Question::Value(c_name.clone())];
                claims.claim(format!("{file}: {name}"), question, value, constant.scope);
            }
        }
        for ((item, _), used) in exemptions.entries.iter().zip(exemptions.used) {
            if !used {
                claims.complain("exemptions.rs", item, "exempts nothing: remove the entry");
            }
        }
        claims
    }

    fn check_record(&mut self, source: &Source, record: &Record, exemptions: &mut Exemptions<'_>) {
        let layouts = || source.layouts.iter().filter(|layout| is_of(layout, record));
        if layouts().next().is_none() && !exemptions.exempts(&record.name) {
            self.complain(&record.file, &record.name, "is a record without a layout!");
        }
        for layout in layouts() {
            let size = match &layout.before {
                Some(member) => Question::Offset(layout.c_type.clone(), member.clone()),
                None => Question::Size(layout.c_type.clone()),
            };
            let place = format!("{}: {}", layout.file, layout.record);
            self.claim(place, vec![size], layout.size.into(), layout.scope);
            if let Some(claim) = self.list.last_mut() {
                claim.or_more = layout.extended;
            }
            for field in &record.fields {
                let item = format!("{}::{}", record.name, field.name);
                let is_padding = field.name.trim_start_matches('_').starts_with("pad");
                let is_nothing = type_name(&field.kind).as_deref() == Some("PhantomData");
                if !is_padding && !is_nothing && !exemptions.exempts(&item) {
                    self.check_field(source, layout, field);
                }
            }
        }
    }

    fn check_field(&mut self, source: &Source, layout: &Layout, of_record: &Field) {
        let Field { name, kind, architecture } = of_record;
        let item = format!("{}::{name}", layout.record);
        let mut scope = layout.scope;
        match (scope.architecture, *architecture) {
            (Some(here), Some(there)) if here != there => return,
            (None, there) => scope.architecture = there,
            _ => {}
        }
        let Some(field) = layout.fields.iter().find(|field| field.name == *name) else {
            return self.complain(&layout.file, &item, "is missing in its record's layout!");
        };
        let place = format!("{}: {item}", layout.file);
        let ask = |question: fn(CType, String) -> Question| {
            field.c_names.iter().map(|c_name| question(layout.c_type.clone(), c_name.clone())).collect()
        };
        self.claim(place.clone(), ask(Question::Offset), field.offset.into(), scope);
        let is_last = layout.fields.last().is_some_and(|last| last.name == *name);
        if layout.extended && is_last {
            return; // C's is a flexible array, which has no size
        }
        match width(source, &layout.file, kind) {
            Some(width) => self.claim(place, ask(Question::Width), width.into(), scope),
            None => self.complain(
                &layout.file,
                &item,
                "has a type whose size the oracle cannot tell: give that type a layout!",
            ),
        }
    }

    fn claim(&mut self, place: String, questions: Vec<Question>, value: i128, scope: Scope) {
        self.list.push(Claim { place, questions, value, or_more: false, scope });
    }

    fn complain(&mut self, file: &str, item: &str, what: &str) {
        self.complaints.push(format!("{file}: {item} {what}"));
    }
}

fn is_of(layout: &Layout, record: &Record) -> bool {
    layout.file == record.file && layout.record == record.name
}

/// The size of a field's type, as far as it can be read off.
fn width(source: &Source, file: &str, kind: &Type) -> Option<u64> {
    if let Type::Array(array) = kind {
        return width(source, file, &array.elem)?.checked_mul(length(source, &array.len)?);
    }
    let name = type_name(kind)?;
    if let Some(bits) = name.strip_prefix(['u', 'i']).and_then(|bits| bits.parse::<u64>().ok()) {
        return Some(bits / 8);
    }
    let sizes = |here: bool| {
        let same = source.layouts.iter().filter(|layout| layout.record == name);
        same.filter(|layout| (layout.file == file) == here).map(|layout| layout.size).collect::<Vec<u64>>()
    };
    let mut sizes = [sizes(true), sizes(false)].into_iter().find(|sizes| !sizes.is_empty())?;
    sizes.dedup();
    if let [size] = sizes[..] { Some(size) } else { None }
}

/// The length of an array: a number, or the name of a constant.
fn length(source: &Source, expression: &Expr) -> Option<u64> {
    let value = match evaluate(expression) {
        Value::Number(number) => number,
        Value::Alias => {
            let Expr::Path(path) = expression else { return None };
            let name = path.path.segments.last()?.ident.to_string();
            let constant = source.constants.iter().find(|constant| constant.name == name)?;
            if let Value::Number(number) = constant.value { number } else { return None }
        }
        Value::Unknown => return None,
    };
    u64::try_from(value).ok()
}
