use toml::{Table, Value};

use super::{Config, Problems, place::Places, source::plain};

/// A variable that sets a key.
struct Variable {
    name: String,
    path: Vec<String>,
    value: Value,
    text: String,
}

/// Lays the environment over the file's table. `None` when no variable is meant for us.
pub(super) fn lay_over(
    table: &Table,
    environment: impl Iterator<Item = (String, String)>,
    places: &mut Places,
) -> Result<Option<Config>, Problems> {
    let mut variables: Vec<Variable> = environment.filter_map(|(name, text)| variable(name, text)).collect();
    if variables.is_empty() {
        return Ok(None);
    }
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    for variable in &variables {
        places.set_by(&variable.name, variable.path.join("."));
    }
    let first = match build(table, variables.iter()) {
        Ok(config) => return Ok(Some(config)),
        Err(what) => what,
    };
    // A name or an address may look like a number. What was meant shows when the key takes it as a text.
    for index in 0..variables.len() {
        let text = Value::String(variables[index].text.clone());
        let typed = std::mem::replace(&mut variables[index].value, text);
        match build(table, variables.iter()) {
            Ok(config) => return Ok(Some(config)),
            // Another complaint than that of the wrong type: the text was right, its content is not.
            Err(what) if what != first && !what.starts_with("invalid type") => {
                return Err(blame(&variables[index..=index], &what));
            }
            Err(_) => variables[index].value = typed,
        }
    }
    // The one without which all is well is the wrong one.
    for (index, suspect) in variables.iter().enumerate() {
        let others = variables.iter().enumerate().filter(|(other, _)| *other != index);
        if build(table, others.map(|(_, variable)| variable)).is_ok() {
            return Err(blame(std::slice::from_ref(suspect), &first));
        }
    }
    Err(blame(&variables, &first))
}

/// `BELLHOP_ACCOUNT__0__PARTNER_TOKEN` is the key `partner_token` of the first `[[account]]`. Names without a
/// double line are not ours: container systems make such ones for a service that is called like us.
fn variable(name: String, text: String) -> Option<Variable> {
    let rest = name.strip_prefix("BELLHOP_").filter(|rest| rest.contains("__"))?;
    let path = rest.split("__").map(str::to_lowercase).collect();
    let value = match text.parse::<Value>() {
        // Only a number that reads the same when it is written again: a token `0x12` stays a text.
        Ok(Value::Integer(number)) if number.to_string() == text => Value::Integer(number),
        Ok(value @ (Value::Boolean(_) | Value::Array(_))) => value,
        _ => Value::String(text.clone()),
    };
    Some(Variable {
        name,
        path,
        value,
        text,
    })
}

fn build<'v>(table: &Table, variables: impl Iterator<Item = &'v Variable>) -> Result<Config, String> {
    let mut table = table.clone();
    for variable in variables {
        set(&mut table, variable)?;
    }
    table
        .try_into()
        .map_err(|error: toml::de::Error| plain(error.message()))
}

fn set(table: &mut Table, variable: &Variable) -> Result<(), String> {
    let (last, parents) = variable.path.split_last().ok_or("names no key")?;
    let mut here = table;
    let mut steps = parents.iter().peekable();
    while let Some(step) = steps.next() {
        let index = steps.next_if(|next| next.bytes().all(|b| b.is_ascii_digit()));
        let entry = here.entry(step.clone()).or_insert_with(|| match index {
            Some(_) => Value::Array(Vec::new()),
            None => Value::Table(Table::new()),
        });
        let entry = match (entry, index) {
            (Value::Array(items), Some(index)) => {
                let index: usize = index.parse().map_err(|_| "no such number")?;
                if index == items.len() {
                    items.push(Value::Table(Table::new()));
                }
                items
                    .get_mut(index)
                    .ok_or_else(|| format!("there is no [[{step}]] number {index}, counted from 0"))?
            }
            (entry, _) => entry,
        };
        here = entry.as_table_mut().ok_or_else(|| format!("`{step}` is no section"))?;
    }
    here.insert(last.clone(), variable.value.clone());
    Ok(())
}

fn blame(variables: &[Variable], what: &str) -> Problems {
    let names: Vec<&str> = variables.iter().map(|variable| variable.name.as_str()).collect();
    Problems(vec![format!("environment: {}: {what}", names.join(", "))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Secret;

    fn parsed(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let table = text.parse().expect("valid");
        lay_over(&table, environment, &mut Places::default())
            .map(|config| config.expect("a variable"))
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let text = "[[account]]\nname = \"main\"\n";
        let environment = [
            ("BELLHOP_SERVER__LISTEN", "127.0.0.1:81"),
            ("BELLHOP_INTAKE__QUEUE", "7"),
            ("BELLHOP_ACCOUNT__0__PARTNER_TOKEN", "12345"),
            ("BELLHOP_ACCOUNT__0__SIGNATURE_KEY", "0x1234"),
            ("BELLHOP_ACCOUNT__1__NAME", "2"),
            ("BELLHOP_CONFIG", "elsewhere"),
            ("BELLHOP_PORT", "tcp://10.0.0.1:8080"),
        ];
        let config = parsed(text, &environment).expect("valid");
        assert_eq!(config.server.listen.port(), 81);
        assert_eq!(config.intake.queue, 7);
        let shown = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        assert_eq!(shown(&config.accounts[0].partner_token).as_deref(), Some("12345"));
        assert_eq!(shown(&config.accounts[0].signature_key).as_deref(), Some("0x1234"));
        assert_eq!(config.accounts[1].name, "2");
    }

    #[test]
    fn a_wrong_variable_is_named_and_the_others_are_not() {
        let right = ("BELLHOP_INTAKE__QUEUE", "7");
        for (name, value, told) in [
            (
                "BELLHOP_SERVER__LISTENN",
                "x",
                "unknown field `listenn`, expected one of",
            ),
            (
                "BELLHOP_ACCOUNT__3__NAME",
                "x",
                "there is no [[account]] number 3, counted from 0",
            ),
            ("BELLHOP_SERVER__THREADS", "many", "expected a whole number"),
            ("BELLHOP_SERVER__LISTEN", "8080", "`8080` is no address to listen on"),
        ] {
            let error = parsed("", &[right, (name, value)]).expect_err(name);
            assert!(error.starts_with(&format!("environment: {name}: ")), "{error}");
            assert!(error.contains(told), "{error}");
        }
    }
}
