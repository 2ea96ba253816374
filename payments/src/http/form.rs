//! Stripe's form bodies: `a[b][c]=v`, `a[]=v`, decoded into a tree with strict caps, card data refused.

use std::collections::BTreeMap;

use crate::error::{Error, Refusal};

const MAX_PAIRS: usize = 500;
const MAX_DEPTH: usize = 7;
const MAX_KEY: usize = 200;
/// In bytes: what the longest text, of 20,000 characters, may take.
const MAX_VALUE: usize = 80_000;

/// A parameter: text, or named parts. A list is parts named `0`, `1`, ..
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A leaf.
    Text(String),
    /// A hash or a list.
    Parts(BTreeMap<String, Node>),
}

/// Decodes `application/x-www-form-urlencoded` bytes (a body or a query).
pub fn decode(bytes: &[u8]) -> Result<BTreeMap<String, Node>, Error> {
    if !escapes_are_whole(bytes) {
        return Err(malformed());
    }
    let mut root = BTreeMap::new();
    for (count, (key, value)) in form_urlencoded::parse(bytes).enumerate() {
        if count >= MAX_PAIRS || key.len() > MAX_KEY || value.len() > MAX_VALUE {
            return Err(Refusal::plain("The request has too many or too long parameters.").into());
        }
        // What bytes that are no UTF-8 become.
        if key.contains(char::REPLACEMENT_CHARACTER) || value.contains(char::REPLACEMENT_CHARACTER)
        {
            return Err(malformed());
        }
        refuse_card_data(&key, &value)?;
        let path = split(&key).ok_or_else(malformed)?;
        insert(&mut root, &path, value.into_owned())?;
    }
    Ok(root)
}

// Half an escape would be kept as the text that it is written with.
fn escapes_are_whole(bytes: &[u8]) -> bool {
    let mut escapes = bytes.split(|byte| *byte == b'%').skip(1);
    escapes.all(|after| after.len() >= 2 && after[..2].iter().all(u8::is_ascii_hexdigit))
}

/// Refuses text that looks like a card number, wherever it stands.
pub fn refuse_card_number(text: &str) -> Result<(), Error> {
    if card::filter::holds_card_number(text) {
        return Err(card_data());
    }
    // PostgreSQL cannot store it, and nothing legitimate holds it.
    if text.contains('\0') {
        return Err(malformed());
    }
    Ok(())
}

fn refuse_card_data(key: &str, value: &str) -> Result<(), Error> {
    let hash = ["card", "source"].iter().any(|hash| {
        let inside = |name: &str| {
            key.ends_with(&format!("{hash}[{name}]")) || key.ends_with(&format!("{hash}][{name}]"))
        };
        inside("number") || inside("cvc")
    });
    if hash {
        return Err(card_data());
    }
    refuse_card_number(key)?;
    refuse_card_number(value)
}

fn card_data() -> Error {
    let message = "Card data may not be sent to this API. Collect the card with Cardseal's fields and send the token \
                   instead: payment_method_data[card][token].";
    Refusal::new("card_data_not_allowed", message).into()
}

fn malformed() -> Error {
    Refusal::plain("The parameters are not well formed.").into()
}

// `a[b][]` is a, b, "" (the next place of a list).
fn split(key: &str) -> Option<Vec<&str>> {
    let Some(open) = key.find('[') else {
        return (!key.is_empty() && !key.contains(']')).then(|| vec![key]);
    };
    let (head, rest) = key.split_at(open);
    let inner = rest.strip_prefix('[')?.strip_suffix(']')?;
    let mut path = vec![head];
    path.extend(inner.split("]["));
    let clean = path.iter().all(|part| !part.contains(['[', ']']));
    let named = path[..path.len() - 1].iter().all(|part| !part.is_empty());
    (clean && named && path.len() <= MAX_DEPTH).then_some(path)
}

fn insert(parts: &mut BTreeMap<String, Node>, path: &[&str], value: String) -> Result<(), Error> {
    let name = match path[0] {
        "" => parts.len().to_string(),
        name => name.to_owned(),
    };
    if path.len() == 1 {
        return match parts.insert(name, Node::Text(value)) {
            None => Ok(()),
            Some(_) => Err(malformed()),
        };
    }
    let inner = parts
        .entry(name)
        .or_insert_with(|| Node::Parts(BTreeMap::new()));
    match inner {
        Node::Parts(inner) => insert(inner, &path[1..], value),
        Node::Text(_) => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Node {
        Node::Text(value.into())
    }

    fn parts(of: &[(&str, Node)]) -> Node {
        Node::Parts(
            of.iter()
                .map(|(k, v)| ((*k).to_owned(), v.clone()))
                .collect(),
        )
    }

    #[test]
    fn brackets_become_a_tree() {
        let tree = decode(b"amount=100&metadata[order]=o%201&expand[]=a&expand[]=b&x[0][y]=z")
            .expect("decoded");
        assert_eq!(tree["amount"], text("100"));
        assert_eq!(tree["metadata"], parts(&[("order", text("o 1"))]));
        assert_eq!(tree["expand"], parts(&[("0", text("a")), ("1", text("b"))]));
        assert_eq!(tree["x"], parts(&[("0", parts(&[("y", text("z"))]))]));
    }

    #[test]
    fn what_is_malformed_or_too_big_is_refused() {
        let deep = "a[b][c][d][e][f][g][h]=1".to_owned();
        let many = "a[]=1&".repeat(MAX_PAIRS + 1);
        let long = format!("a={}", "x".repeat(MAX_VALUE + 1));
        for body in [
            "[a]=1",
            "a[=1",
            "a]=1",
            "a[b=1",
            "a[][b]=1",
            "=1",
            "a=1&a=2",
            "a=1&a[b]=2",
            "a[b]=1&a=2",
            "a[b]c=1",
            "a=%00",
            "a=%",
            "a=%4",
            "a=100%&b=1",
            "a=%zz",
            "a=%ff",
            "a=%c3%28",
            &deep,
            &many,
            &long,
        ] {
            assert!(decode(body.as_bytes()).is_err(), "{body:.40}");
        }
    }

    #[test]
    fn card_data_is_refused_and_never_repeated() {
        for body in [
            "card[number]=1",
            "payment_method_data[card][number]=4242424242424242",
            "payment_method_data[card][cvc]=123",
            "metadata[note]=4242 4242 4242 4242",
            "4242424242424242=1",
        ] {
            let error = decode(body.as_bytes())
                .expect_err("refused")
                .body()
                .to_string();
            assert!(
                error.contains("card_data_not_allowed") && !error.contains("4242"),
                "{error}"
            );
        }
    }
}
