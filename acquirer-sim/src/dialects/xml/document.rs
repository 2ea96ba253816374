//! XML documents as they come in: a tree whose texts are wiped on drop. No DOCTYPE, no entities but XML's own.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zeroize::Zeroizing;

use crate::cards::SecretText;

const MAX_DEPTH: usize = 16;

/// An element. Names are local: prefixes are dropped.
#[derive(Default)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, Zeroizing<String>)>,
    children: Vec<Self>,
    text: Zeroizing<String>,
}

impl Element {
    /// The root element of a document.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = vec![];
        let mut root = None;
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) if root.is_none() && open.len() < MAX_DEPTH => {
                    open.push(Self::of(&start)?);
                }
                Event::Empty(start) if root.is_none() && open.len() < MAX_DEPTH => {
                    close(Self::of(&start)?, &mut open, &mut root);
                }
                Event::End(_) => {
                    let element = open.pop()?;
                    close(element, &mut open, &mut root);
                }
                Event::Text(text) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text.xml10_content().ok()?);
                    }
                }
                Event::GeneralRef(reference) => {
                    let c = match reference.resolve_char_ref().ok()? {
                        Some(c) => c,
                        None => predefined(&reference.decode().ok()?)?,
                    };
                    open.last_mut()?.text.push(c);
                }
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => return if open.is_empty() { root } else { None },
                _ => return None,
            }
        }
    }

    fn of(start: &BytesStart<'_>) -> Option<Self> {
        let mut element = Self {
            name: String::from_utf8(start.local_name().into_inner().to_vec()).ok()?,
            ..Self::default()
        };
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let key = attribute.key.local_name().into_inner().to_vec();
            let raw = std::str::from_utf8(&attribute.value).ok()?;
            let value = quick_xml::escape::unescape(raw).ok()?.into_owned();
            element
                .attributes
                .push((String::from_utf8(key).ok()?, Zeroizing::new(value)));
        }
        Some(element)
    }

    /// The descendant at a path of names.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| {
            element.children.iter().find(|child| child.name == *name)
        })
    }

    /// The only or first child.
    pub(super) fn first(&self) -> Option<&Self> {
        self.children.first()
    }

    /// An attribute's text, or nothing.
    pub(super) fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The text of the descendant at a path; a secret of its own.
    pub(super) fn secret(&self, path: &[&str]) -> Option<SecretText> {
        let found = self.at(path)?;
        Some(SecretText(Zeroizing::new(found.text.trim().to_owned())))
    }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}
