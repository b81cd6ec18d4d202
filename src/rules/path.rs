use super::{
    facts::{Fact, Group},
    mistake::suggest,
};

/// Checks a dotted path against the facts that a trigger has. The refusal is what is wrong and
/// what to do.
pub(super) fn check(facts: &Group, path: &[&str]) -> Result<(), (String, String)> {
    let mut group = facts;
    for (depth, name) in path.iter().enumerate() {
        let Some((_, fact)) = group.iter().find(|(known, _)| known == name) else {
            return Err(unknown(group, &path[..depth], name));
        };
        match fact {
            Fact::Foreign(_) => return Ok(()),
            Fact::Group(inner) => group = inner,
            Fact::Whole(_) | Fact::Text(_) | Fact::Texts(_) | Fact::Flag(_) | Fact::Money(_) | Fact::Time(_) => {
                let whole = path[..=depth].join(".");
                return match path.get(depth + 1) {
                    None => Ok(()),
                    Some(_) => Err((
                        format!("`{whole}` is a single value and has no fields"),
                        format!("write `{whole}`"),
                    )),
                };
            }
        }
    }
    Ok(())
}

fn unknown(group: &Group, parent: &[&str], name: &str) -> (String, String) {
    let only = match (parent, name) {
        (["event"], "data" | "resource" | "change" | "resource_id") => Some("entity events"),
        (["event"], "payment") => Some("`payment.received` and `payment.refunded`"),
        _ => None,
    };
    if let Some(only) = only {
        return (
            format!("`event.{name}` is there only for {only}"),
            "remove it, or choose such a trigger".to_owned(),
        );
    }
    let names: Vec<&str> = group.iter().map(|(known, _)| *known).collect();
    let name = super::table::shorten(name);
    match parent {
        [] => (format!("nothing is called `{name}`"), suggest(&name, &names)),
        _ => (
            format!("`{}` has no `{name}`", parent.join(".")),
            suggest(&name, &names),
        ),
    }
}
