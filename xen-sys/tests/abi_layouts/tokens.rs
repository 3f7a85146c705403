//! What macro invocations say: `layout!`, `"C_NAME" = value`, `"C_NAME" (4.14..=4.15) = value`, and constants with
//! attributes.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, LitInt, LitStr, Token, Type};

use crate::evaluate::{Value, evaluate};
use crate::model::Version;

/// The arguments of one `layout!`.
pub(crate) struct LayoutTokens {
    pub(crate) record: Type,
    pub(crate) c_type: String,
    /// The member of the C type that the record ends before.
    pub(crate) before: Option<String>,
    /// Whether the record goes on where C's ends.
    pub(crate) extended: bool,
    pub(crate) versions: (Version, Version),
    pub(crate) size: u64,
    pub(crate) fields: Vec<LayoutField>,
}

/// `kind("type") @ 4`
pub(crate) struct LayoutField {
    pub(crate) name: String,
    /// Its names in C.
    pub(crate) c_names: Vec<String>,
    pub(crate) offset: u64,
}

impl Parse for LayoutTokens {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let record = input.parse()?;
        input.parse::<Token![=]>()?;
        let c_type = input.parse::<LitStr>()?.value();
        let (mut before, mut extended, mut versions) = (None, false, (Version::MIN, Version::MAX));
        while !input.peek(Token![,]) {
            if input.peek(syn::token::Paren) {
                let group: Group = input.parse()?;
                versions = version_range(&group).map_err(|error| syn::Error::new(group.span(), error))?;
                continue;
            }
            let word: Ident = input.parse()?;
            match word.to_string().as_str() {
                "before" => before = Some(input.parse::<LitStr>()?.value()),
                "extended" => extended = true,
                _ => return Err(syn::Error::new(word.span(), "expected `before`, `extended` or versions")),
            }
        }
        input.parse::<Token![,]>()?;
        let size = input.parse::<LitInt>()?.base10_parse()?;
        let mut fields = Vec::new();
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            fields.push(input.parse()?);
        }
        Ok(Self { record, c_type, before, extended, versions, size, fields })
    }
}

impl Parse for LayoutField {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = Ident::parse_any(input)?.unraw().to_string();
        let mut c_names = vec![name.clone()];
        if input.peek(syn::token::Paren) {
            let content;
            syn::parenthesized!(content in input);
            let names = content.call(syn::punctuated::Punctuated::<LitStr, Token![|]>::parse_terminated)?;
            c_names = names.iter().map(LitStr::value).collect();
        }
        input.parse::<Token![@]>()?;
        let offset = input.parse::<LitInt>()?.base10_parse()?;
        Ok(Self { name, c_names, offset })
    }
}

/// `(4.15..=4.17)`, `(4.16..)`, `(..=4.15)`, `(4.17)`
fn version_range(group: &Group) -> Result<(Version, Version), String> {
    let text: String = group.stream().to_string().split_whitespace().collect();
    let Some((first, last)) = text.split_once("..") else {
        return text.parse().map(|version| (version, version));
    };
    let first = if first.is_empty() { Version::MIN } else { first.parse()? };
    let last = match last.strip_prefix('=') {
        None if last.is_empty() => Version::MAX,
        None => return Err(format!("`{text}`: write `..=`, so that the last version is one that is meant")),
        Some(last) => last.parse()?,
    };
    Ok((first, last))
}

/// A constant that a macro invocation holds.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) c_names: Vec<String>,
    pub(crate) value: Value,
    pub(crate) versions: (Version, Version),
}

/// Finds `"C_NAME" = value` and `const NAME: type = value` with its aliases, at any depth.
pub(crate) fn facts(tokens: TokenStream, found: &mut Vec<Fact>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut aliases = Vec::new();
    for (index, tree) in trees.iter().enumerate() {
        let rest = &trees[index + 1..];
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                aliases.extend(alias(group));
            }
            TokenTree::Group(group) => facts(group.stream(), found),
            TokenTree::Punct(punct) if punct.as_char() == ';' => aliases.clear(),
            TokenTree::Literal(_) => found.extend(named_value(tree, rest)),
            TokenTree::Ident(keyword) if keyword == "const" => {
                let Some(TokenTree::Ident(name)) = rest.first() else { continue };
                let Some(equals) = rest.iter().position(|tree| is_punct(tree, '=')) else { continue };
                if name != "_" {
                    let (name, value) = (name.to_string(), value_of(&rest[equals + 1..]));
                    let c_names = std::mem::take(&mut aliases);
                    found.push(Fact { name, c_names, value, versions: (Version::MIN, Version::MAX) });
                }
            }
            _ => {}
        }
    }
}

/// `"C_NAME" = value`, perhaps with versions between.
fn named_value(literal: &TokenTree, rest: &[TokenTree]) -> Option<Fact> {
    let (versions, rest) = match rest {
        [TokenTree::Group(group), rest @ ..] => (version_range(group).ok()?, rest),
        rest => ((Version::MIN, Version::MAX), rest),
    };
    let [equals, rest @ ..] = rest else { return None };
    let name = syn::parse2::<LitStr>(literal.clone().into()).ok()?.value();
    is_punct(equals, '=').then(|| Fact {
        name: name.clone(),
        c_names: vec![name],
        value: value_of(rest),
        versions,
    })
}

fn is_punct(tree: &TokenTree, character: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// The value that these tokens begin with, up to the next comma or semicolon.
fn value_of(trees: &[TokenTree]) -> Value {
    let expression = trees.iter().take_while(|tree| !is_punct(tree, ',') && !is_punct(tree, ';'));
    let expression = syn::parse2::<Expr>(expression.cloned().collect());
    expression.map_or(Value::Unknown, |expression| evaluate(&expression))
}

/// The name in the attribute `[doc(alias = "NAME")]`.
fn alias(attribute: &Group) -> Option<String> {
    let meta = syn::parse2::<syn::Meta>(attribute.stream()).ok()?;
    crate::source::alias(&meta)
}

/// Whether a macro's definition makes a record.
pub(crate) fn makes_record(definition: TokenStream) -> bool {
    let trees: Vec<TokenTree> = definition.into_iter().collect();
    trees.iter().enumerate().any(|(index, tree)| match tree {
        TokenTree::Group(group) => makes_record(group.stream()),
        TokenTree::Ident(ident) => {
            ident == "repr" && matches!(trees.get(index + 1), Some(TokenTree::Group(_)))
        }
        _ => false,
    })
}

/// The first name in an invocation that is not in an attribute.
pub(crate) fn first_name(invocation: TokenStream) -> Option<String> {
    invocation.into_iter().find_map(|tree| match tree {
        TokenTree::Ident(ident) if ident != "pub" && ident != "struct" => Some(ident.to_string()),
        _ => None,
    })
}
