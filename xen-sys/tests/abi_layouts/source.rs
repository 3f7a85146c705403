//! Finds every record, layout and constant in Rust sources.

use std::collections::BTreeSet;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Item, Lit, Meta, Type};

use crate::evaluate::{Value, evaluate};
use crate::model::{Architecture, CType, Scope, Version};
use crate::tokens::{self, Fact, LayoutField, LayoutTokens};

/// What was found.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) records: Vec<Record>,
    pub(crate) layouts: Vec<Layout>,
    pub(crate) constants: Vec<Constant>,
    /// What could not be understood.
    pub(crate) complaints: Vec<String>,
    /// Names of macros that make records.
    record_macros: BTreeSet<String>,
}

/// A `#[repr(C)]` or `#[repr(transparent)]` type.
pub(crate) struct Record {
    pub(crate) file: String,
    pub(crate) name: String,
    /// Its named fields.
    pub(crate) fields: Vec<Field>,
}

/// A field of a record.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Type,
    /// Where it is there, if not everywhere.
    pub(crate) architecture: Option<Architecture>,
}

/// A `layout!`.
pub(crate) struct Layout {
    pub(crate) file: String,
    pub(crate) record: String,
    pub(crate) c_type: CType,
    pub(crate) before: Option<String>,
    pub(crate) extended: bool,
    pub(crate) scope: Scope,
    pub(crate) size: u64,
    pub(crate) fields: Vec<LayoutField>,
}

/// A constant of any kind, with its names in C.
pub(crate) struct Constant {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) c_names: Vec<String>,
    pub(crate) value: Value,
    pub(crate) scope: Scope,
}

impl Source {
    /// Follows the modules of a crate from `lib.rs` on.
    pub(crate) fn of_crate(folder: &Path) -> Self {
        let mut source = Self::default();
        source.read(folder, &folder.join("lib.rs"), folder, None);
        source
    }

    /// One file with this text.
    pub(crate) fn of_text(file: &str, text: &str) -> Self {
        let mut source = Self::default();
        source.parse(file, text, None);
        source
    }

    /// Reads a file, whose modules are in `modules`, and these.
    fn read(&mut self, root: &Path, path: &Path, modules: &Path, architecture: Option<Architecture>) {
        let text = std::fs::read_to_string(path);
        let text = text.unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        let file = path.strip_prefix(root).unwrap_or(path).display().to_string();
        for (name, architecture) in self.parse(&file, &text, architecture) {
            let folder = modules.join(&name);
            let beside = modules.join(format!("{name}.rs"));
            let path = if beside.exists() { beside } else { folder.join("mod.rs") };
            self.read(root, &path, &folder, architecture);
        }
    }

    /// Collects what is in a text; gives the modules that are elsewhere.
    fn parse(
        &mut self,
        file: &str,
        text: &str,
        architecture: Option<Architecture>,
    ) -> Vec<(String, Option<Architecture>)> {
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file} is no Rust: {error}"));
        let modules = Vec::new();
        let mut collector = Collector { file, architecture, owner: None, modules, found: self };
        collector.visit_file(&parsed);
        collector.modules
    }
}

struct Collector<'a> {
    file: &'a str,
    architecture: Option<Architecture>,
    /// The type or trait whose items are visited.
    owner: Option<String>,
    modules: Vec<(String, Option<Architecture>)>,
    found: &'a mut Source,
}

impl Collector<'_> {
    fn record(&mut self, attributes: &[Attribute], name: &syn::Ident, fields: &syn::FieldsNamed) {
        if attributes.iter().any(|attribute| attribute.path().is_ident("repr")) {
            let named = |field: &syn::Field| {
                let architecture = field.attrs.iter().find_map(architecture);
                Some(Field { name: field.ident.clone()?.to_string(), kind: field.ty.clone(), architecture })
            };
            let fields = fields.named.iter().filter_map(named).collect();
            let record = Record { file: self.file.into(), name: name.to_string(), fields };
            self.found.records.push(record);
        }
    }

    fn constant(&mut self, attributes: &[Attribute], name: &str, value: Value) {
        let mut c_names: Vec<String> =
            attributes.iter().filter_map(|attribute| alias(&attribute.meta)).collect();
        // rustdoc refuses an alias that is the name; error numbers are called as in C
        if c_names.is_empty() && self.file.ends_with("errno.rs") {
            c_names.push(name.into());
        }
        let name = self.owner.as_ref().map_or(name.to_owned(), |owner| format!("{owner}::{name}"));
        self.push_constant(Fact { name, c_names, value, versions: (Version::MIN, Version::MAX) });
    }

    fn push_constant(&mut self, Fact { name, c_names, value, versions }: Fact) {
        // another name for a constant that stands for itself
        if name == "_" || (value == Value::Alias && c_names.is_empty()) {
            return;
        }
        let (file, scope) = (self.file.into(), self.scope(versions));
        self.found.constants.push(Constant { file, name, c_names, value, scope });
    }

    fn scope(&self, (first, last): (Version, Version)) -> Scope {
        Scope { first, last, architecture: self.architecture }
    }

    fn layout(&mut self, tokens: proc_macro2::TokenStream) {
        let text = tokens.to_string();
        let LayoutTokens { record, c_type, before, extended, versions, size, fields } =
            match syn::parse2(tokens) {
                Ok(layout) => layout,
                Err(error) => {
                    let complaint = format!("{}: layout!({text}) cannot be understood: {error}", self.file);
                    return self.found.complaints.push(complaint);
                }
            };
        self.found.layouts.push(Layout {
            file: self.file.into(),
            record: type_name(&record).unwrap_or_default(),
            c_type: CType::new(&c_type),
            before,
            extended,
            scope: self.scope(versions),
            size,
            fields,
        });
    }

    fn invocation(&mut self, invoked: &syn::Macro) {
        let name = invoked.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if name == "layout" {
            return self.layout(invoked.tokens.clone());
        }
        if self.found.record_macros.contains(&name) {
            if let Some(name) = tokens::first_name(invoked.tokens.clone()) {
                self.found.records.push(Record { file: self.file.into(), name, fields: Vec::new() });
            }
        }
        let mut facts = Vec::new();
        tokens::facts(invoked.tokens.clone(), &mut facts);
        for fact in facts {
            self.push_constant(fact);
        }
    }

    fn definition(&mut self, name: &syn::Ident, definition: &syn::Macro) {
        if tokens::makes_record(definition.tokens.clone()) {
            self.found.record_macros.insert(name.to_string());
        }
        let mut facts = Vec::new();
        tokens::facts(definition.tokens.clone(), &mut facts);
        // what depends on the arguments is a fact of the invocation
        for fact in facts.into_iter().filter(|fact| matches!(fact.value, Value::Number(_))) {
            self.push_constant(fact);
        }
    }

    /// Visits with another owner.
    fn owned(&mut self, owner: Option<String>, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.owner, owner);
        visit(self);
        self.owner = outer;
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = attributes(item);
        if attributes.iter().any(|attribute| condition(attribute).as_deref() == Some("test")) {
            return;
        }
        let outer = self.architecture;
        self.architecture = attributes.iter().find_map(architecture).or(outer);
        visit::visit_item(self, item);
        self.architecture = outer;
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.content.is_none() {
            self.modules.push((module.ident.to_string(), self.architecture));
        }
        visit::visit_item_mod(self, module);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let none = syn::FieldsNamed { brace_token: syn::token::Brace::default(), named: <_>::default() };
        let fields = if let syn::Fields::Named(fields) = &item.fields { fields } else { &none };
        self.record(&item.attrs, &item.ident, fields);
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.record(&item.attrs, &item.ident, &item.fields);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        for variant in &item.variants {
            if let Some((_, value)) = &variant.discriminant {
                let name = format!("{}::{}", item.ident, variant.ident);
                self.constant(&variant.attrs, &name, evaluate(value));
            }
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of_trait = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
        let owner = of_trait.map(|segment| segment.ident.to_string()).or_else(|| type_name(&item.self_ty));
        self.owned(owner, |collector| visit::visit_item_impl(collector, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let owner = Some(item.ident.to_string());
        self.owned(owner, |collector| visit::visit_item_trait(collector, item));
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.owned(None, |collector| visit::visit_block(collector, block));
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constant(&item.attrs, &item.ident.to_string(), evaluate(&item.expr));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constant(&item.attrs, &item.ident.to_string(), evaluate(&item.expr));
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        if let Some((_, value)) = &item.default {
            self.constant(&item.attrs, &item.ident.to_string(), evaluate(value));
        }
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        match &item.ident {
            Some(name) => self.definition(name, &item.mac),
            None => self.invocation(&item.mac),
        }
    }

    fn visit_impl_item_macro(&mut self, item: &'ast syn::ImplItemMacro) {
        self.invocation(&item.mac);
    }
}

/// The attributes of the kinds of item that matter here.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        _ => &[],
    }
}

/// The condition in `#[cfg(condition)]`, without spaces.
fn condition(attribute: &Attribute) -> Option<String> {
    let list = attribute.meta.require_list().ok().filter(|list| list.path.is_ident("cfg"))?;
    Some(list.tokens.to_string().split_whitespace().collect())
}

fn architecture(attribute: &Attribute) -> Option<Architecture> {
    let condition = condition(attribute)?;
    let of = |it: &Architecture| condition == format!("target_arch=\"{}\"", it.rust());
    Architecture::ALL.into_iter().find(of)
}

/// The name in `doc(alias = "NAME")`.
pub(crate) fn alias(meta: &Meta) -> Option<String> {
    let list = meta.require_list().ok().filter(|list| list.path.is_ident("doc"))?;
    let alias = list.parse_args::<syn::MetaNameValue>().ok().filter(|pair| pair.path.is_ident("alias"))?;
    match alias.value {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(name), .. }) => Some(name.value()),
        _ => None,
    }
}

/// `Name` of `path::Name<..>`.
pub(crate) fn type_name(of: &Type) -> Option<String> {
    let Type::Path(path) = of else { return None };
    path.path.segments.last().map(|segment| segment.ident.to_string())
}
