//! Every parameter of every route, as `/openapi.json` describes it, with each value that its type does not allow: the
//! answer is Stripe's error, with the code and the parameter's full name, and nothing that was sent comes back. A route or a
//! parameter that is added later is in these tests by itself.

use axum::http::Method;
use serde_json::Value;

use crate::matrix::{Operation, described, objects};
use crate::world::{Answer, World, on_both_stores};

on_both_stores!(
    each_wrong_value_is_named,
    what_the_description_allows_is_taken
);

/// A part of a body: text to send, the code that it gets, and the parameter that the error names.
#[derive(Debug)]
struct Bad {
    form: String,
    code: &'static str,
    param: String,
}

/// What is wrong for a parameter `name` of this schema.
fn wrong(name: &str, schema: &Value) -> Vec<Bad> {
    let bad = |form: String, code: &'static str| Bad {
        form,
        code,
        param: name.to_owned(),
    };
    let set = |value: &str, code| bad(format!("{name}={value}"), code);
    let mut all = Vec::new();
    let kind = schema["type"].as_str();
    if let Some(either) = schema["anyOf"].as_array() {
        return either
            .iter()
            .flat_map(|one| wrong_of_either(name, one))
            .collect();
    }
    match kind.expect("a type") {
        "string" => {
            all.push(bad(format!("{name}[canary]=1"), "parameter_invalid_string"));
            if schema["minLength"] != 0 {
                all.push(set("", "parameter_invalid_empty"));
            }
            if let Some(most) = schema["maxLength"].as_u64() {
                let long = "x".repeat(most as usize + 1);
                all.push(set(&long, "parameter_invalid_string_too_long"));
            }
            if schema.get("enum").is_some() {
                all.push(set("canary", ""));
            }
            if schema.get("pattern").is_some() {
                all.extend(
                    ["xyz", "us", "dollars", "840", "u%20d", "%C3%A4%C3%A4"]
                        .map(|code| set(code, "")),
                );
            }
        }
        "boolean" => {
            all.extend(["canary", "1", "0", "yes", "TRUE"].map(|word| set(word, "")));
            all.push(set("", "parameter_invalid_empty"));
            all.push(bad(
                format!("{name}[canary]=true"),
                "parameter_invalid_string",
            ));
        }
        "integer" => all.extend(no_integers(name, schema)),
        "array" => {
            all.push(set("canary", "parameter_invalid_array"));
            all.push(set("", "parameter_invalid_array"));
            all.push(bad(format!("{name}[canary]=x"), "parameter_invalid_array"));
            let (item, schema) = (format!("{name}[0]"), &schema["items"]);
            all.extend(wrong(&item, schema));
        }
        "object" => all.extend(no_hashes(name, schema)),
        other => panic!("{name}: a type without its wrong values: {other}"),
    }
    all
}

// Of a time or a range of times: what is a hash is judged as a range.
fn wrong_of_either(name: &str, schema: &Value) -> Vec<Bad> {
    let mut all = wrong(name, schema);
    all.retain(|bad| bad.param != name || !bad.form.contains('['));
    if schema["type"] == "object" {
        all.retain(|bad| bad.param != name);
        all.push(Bad {
            form: format!("{name}[canary]=1"),
            code: "parameter_unknown",
            param: format!("{name}[canary]"),
        });
    }
    all
}

fn no_integers(name: &str, schema: &Value) -> Vec<Bad> {
    let bad = |form: String, code: &'static str| Bad {
        form,
        code,
        param: name.to_owned(),
    };
    let invalid = "parameter_invalid_integer";
    let long = "9".repeat(400);
    let words = [
        "canary",
        "1.5",
        "10.00",
        "1e3",
        "0x10",
        "%2B5",
        "%205",
        "--5",
        "-",
        "1,000",
        "NaN",
        "9223372036854775808",
        &long,
        "%D9%A1",
    ];
    let mut all: Vec<Bad> = words
        .map(|word| bad(format!("{name}={word}"), invalid))
        .into();
    all.push(bad(format!("{name}="), "parameter_invalid_empty"));
    all.push(bad(format!("{name}[canary]=1"), "parameter_invalid_string"));
    if let Some(least) = schema["minimum"].as_i64() {
        for value in [least - 1, -5, i64::MIN] {
            all.push(bad(format!("{name}={value}"), invalid));
        }
    }
    if let Some(most) = schema["maximum"].as_i64() {
        let code = if most == 99_999_999 {
            "amount_too_large"
        } else {
            invalid
        };
        for value in [most + 1, i64::MAX] {
            all.push(bad(format!("{name}={value}"), code));
        }
    }
    all
}

fn no_hashes(name: &str, schema: &Value) -> Vec<Bad> {
    let at = |form: String, code: &'static str, param: String| Bad { form, code, param };
    let mut all = vec![at(
        format!("{name}=canary"),
        "parameter_invalid_hash",
        name.to_owned(),
    )];
    let Some(parts) = schema["properties"].as_object() else {
        let key = format!("{name}[{}]", "k".repeat(41));
        all.push(at(format!("{key}=1"), "", name.to_owned()));
        let value = "v".repeat(501);
        let code = "parameter_invalid_string_too_long";
        all.push(at(format!("{name}[a]={value}"), code, format!("{name}[a]")));
        let deep = format!("{name}[a][b]=1");
        all.push(at(deep, "parameter_invalid_string", format!("{name}[a]")));
        let many: Vec<String> = (0..51).map(|key| format!("{name}[k{key}]=1")).collect();
        all.push(at(many.join("&"), "", name.to_owned()));
        return all;
    };
    let needed = required(name, schema);
    let with = |form: String, part: &str| {
        let others = needed.iter().filter(|(name, _)| name != part);
        others.fold(form, |form, (_, good)| format!("{form}&{good}"))
    };
    let unknown = format!("{name}[canary]");
    all.push(at(
        with(format!("{unknown}=1"), ""),
        "parameter_unknown",
        unknown,
    ));
    for (part, schema) in parts {
        let full = format!("{name}[{part}]");
        for bad in wrong(&full, schema) {
            all.push(Bad {
                form: with(bad.form, part),
                ..bad
            });
        }
    }
    for (part, _) in &needed {
        let form = with(format!("{name}[canary]=1"), part);
        all.push(at(form, "parameter_missing", format!("{name}[{part}]")));
    }
    all
}

/// The needed parts of a hash, each with a form that has it.
fn required(name: &str, schema: &Value) -> Vec<(String, String)> {
    let names = schema["required"].as_array().cloned().unwrap_or_default();
    let names = names
        .iter()
        .map(|part| part.as_str().expect("a name").to_owned());
    names
        .map(|part| {
            let good = good(&format!("{name}[{part}]"), &schema["properties"][&part]);
            (part, good)
        })
        .collect()
}

/// A form with a value that the schema allows.
pub fn good(name: &str, schema: &Value) -> String {
    if schema.get("anyOf").is_some() {
        return format!("{name}=1700000000");
    }
    match schema["type"].as_str().expect("a type") {
        "integer" => format!("{name}={}", schema["minimum"].as_i64().unwrap_or(1)),
        "boolean" => format!("{name}=false"),
        "array" => good(&format!("{name}[0]"), &schema["items"]),
        "object" if schema.get("properties").is_none() => format!("{name}[order]=o1"),
        "object" => {
            let mut parts = required(name, schema);
            let all = schema["properties"].as_object().expect("parts");
            if let (true, Some((part, schema))) = (parts.is_empty(), all.iter().next()) {
                parts.push((part.clone(), good(&format!("{name}[{part}]"), schema)));
            }
            let parts: Vec<String> = parts.into_iter().map(|(_, good)| good).collect();
            parts.join("&")
        }
        _ if schema.get("pattern").is_some() => format!("{name}=usd"),
        _ => match schema["enum"][0].as_str() {
            Some(word) => format!("{name}={word}"),
            None if name.ends_with("url") => format!("{name}=https://shop.example/"),
            None if name.ends_with("enabled_events[0]") => format!("{name}=invoice.paid"),
            None => format!("{name}=x"),
        },
    }
}

impl Operation {
    /// What the route cannot do without, but for one of them.
    pub fn needs(&self, but: &str) -> String {
        let needed = self.needed.iter().filter(|name| *name != but);
        needed
            .map(|name| format!("&{}", good(name, &self.takes[name])))
            .collect()
    }
}

fn error<'a>(answer: &'a Answer, field: &str) -> &'a str {
    answer.json["error"][field].as_str().unwrap_or_default()
}

async fn each_wrong_value_is_named(world: World) {
    let objects = objects(&world).await;
    let who = world.merchant.clone();
    let mut count = 0;
    for operation in described(&world).await.iter().filter(|o| o.keyed) {
        if operation.method == Method::OPTIONS {
            continue;
        }
        let real = operation.real(&objects);
        let mut table = vec![(
            String::new(),
            Bad {
                form: "canary=1".into(),
                code: "parameter_unknown",
                param: "canary".into(),
            },
        )];
        for (name, schema) in &operation.takes {
            table.extend(
                wrong(name, schema)
                    .into_iter()
                    .map(|bad| (name.clone(), bad)),
            );
            if operation.needed.contains(name) {
                let (code, form) = ("parameter_missing", String::new());
                table.push((
                    name.clone(),
                    Bad {
                        form,
                        code,
                        param: name.clone(),
                    },
                ));
            }
        }
        for (name, bad) in table {
            let form = format!("{}{}", bad.form, operation.needs(&name));
            let answer = operation
                .call(&world, &real, &who, None, form.trim_start_matches('&'))
                .await;
            count += 1;
            let told = (
                error(&answer, "type"),
                error(&answer, "code"),
                error(&answer, "param"),
            );
            assert_eq!(
                (answer.status, told),
                (400, ("invalid_request_error", bad.code, &*bad.param)),
                "{} {} {:.200} {}",
                operation.method,
                operation.path,
                form,
                answer.text
            );
            let message = error(&answer, "message");
            assert!(
                !message.is_empty() && !message.replace(&bad.param, "").contains("canary"),
                "{message}"
            );
        }
    }
    assert!(count > 2_500, "{count}");
    assert_eq!(world.bank.charges(), 2, "no mistake charged anything");
    world.finish().await;
}

// The handler takes what the table describes: were a name or a length of its own, these would be refused.
async fn what_the_description_allows_is_taken(world: World) {
    let objects = objects(&world).await;
    let who = world.merchant.clone();
    let wrong_type = [
        "parameter_unknown",
        "parameter_invalid_string_too_long",
        "parameter_invalid_integer",
    ];
    for operation in described(&world).await.iter().filter(|o| o.keyed) {
        if operation.method == Method::DELETE {
            continue;
        }
        let real = operation.real(&objects);
        for (name, schema) in &operation.takes {
            let mut forms = vec![good(name, schema)];
            for word in schema["enum"].as_array().into_iter().flatten() {
                forms.push(format!("{name}={}", word.as_str().expect("a word")));
            }
            if let Some(most) = schema["maxLength"].as_u64() {
                forms.push(format!("{name}={}", "x".repeat(most as usize)));
            }
            for form in forms {
                let form = format!("{form}{}", operation.needs(name));
                let answer = operation.call(&world, &real, &who, None, &form).await;
                let told = (error(&answer, "code"), error(&answer, "param"));
                assert!(
                    answer.status < 500,
                    "{operation:?} {form:.200} {}",
                    answer.text
                );
                let is_wrong = told.1.starts_with(name.as_str()) && wrong_type.contains(&told.0);
                // A time that a session may end at is one of today.
                assert!(
                    !is_wrong || name == "expires_at",
                    "{operation:?} {form:.200} {}",
                    answer.text
                );
                assert_ne!(
                    told.0, "parameter_unknown",
                    "{operation:?} {form:.200} {}",
                    answer.text
                );
            }
        }
    }
    world.finish().await;
}
