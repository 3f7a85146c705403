//! The value of a constant's expression.

use syn::{BinOp, Expr, Lit, UnOp};

/// What the expression of a constant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(i128),
    /// Another constant under one more name.
    Alias,
    /// No number, or none that this can tell.
    Unknown,
}

/// Evaluates what constants of an ABI are written with: literals, shifts, sums, and newtypes around them.
pub(crate) fn evaluate(expression: &Expr) -> Value {
    match expression {
        Expr::Path(path) if limit(&path.path).is_none() => Value::Alias,
        other => number(other).map_or(Value::Unknown, Value::Number),
    }
}

fn number(expression: &Expr) -> Option<i128> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(integer) => integer.base10_parse().ok(),
            Lit::Byte(byte) => Some(byte.value().into()),
            _ => None,
        },
        Expr::Paren(inner) => number(&inner.expr),
        Expr::Group(inner) => number(&inner.expr),
        Expr::Cast(cast) => number(&cast.expr),
        Expr::Unary(unary) => match unary.op {
            UnOp::Neg(_) => Some(-number(&unary.expr)?),
            _ => None,
        },
        Expr::Binary(binary) => {
            let (left, right) = (number(&binary.left)?, number(&binary.right)?);
            match binary.op {
                BinOp::Add(_) => left.checked_add(right),
                BinOp::Sub(_) => left.checked_sub(right),
                BinOp::Mul(_) => left.checked_mul(right),
                BinOp::BitOr(_) => Some(left | right),
                BinOp::Shl(_) => left.checked_shl(u32::try_from(right).ok()?),
                _ => None,
            }
        }
        // `Self(1)`, `Virq(1)`
        Expr::Call(call) if call.args.len() == 1 && matches!(*call.func, Expr::Path(_)) => {
            let Expr::Path(function) = &*call.func else { return None };
            let name = function.path.segments.last()?.ident.to_string();
            if name.starts_with(char::is_uppercase) { number(&call.args[0]) } else { None }
        }
        Expr::Path(path) => limit(&path.path),
        _ => None,
    }
}

/// `u32::MAX` and the like.
fn limit(path: &syn::Path) -> Option<i128> {
    let mut segments = path.segments.iter().map(|segment| segment.ident.to_string());
    let (integer, limit) = (segments.next()?, segments.next()?);
    let (signed, bits) = integer.split_at_checked(1)?;
    let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 64)?;
    match (signed, limit.as_str()) {
        ("u", "MAX") => Some((1 << bits) - 1),
        ("u", "MIN") => Some(0),
        ("i", "MAX") => Some((1 << (bits - 1)) - 1),
        ("i", "MIN") => Some(-(1 << (bits - 1))),
        _ => None,
    }
}
