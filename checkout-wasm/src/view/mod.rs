//! What is seen: the components, and the markup that the build writes into the documents.
//!
//! The same components make both. The inputs are in the document from its first byte and take keys while the wasm
//! arrives; `browser` then takes the elements over as they are, with whatever was typed, focus and caret included.

mod card_form;
mod extra_form;
mod field;

pub use card_form::{CardForm, FieldForm};

use extra_form::ExtraForm;
use leptos::prelude::*;
use leptos::reactive::diagnostics::SpecialNonReactiveZone;

use crate::form::{Field, Form};
use crate::layout::Layout;
use crate::mode::Mode;

/// The markup of an empty form, as the document of this layout holds it.
#[must_use]
pub fn markup(layout: Layout) -> String {
    let owner = Owner::new();
    // Written once: nothing here follows a signal, and nothing needs to be warned of that.
    let _once = SpecialNonReactiveZone::enter();
    // An empty form looks the same in both modes.
    let form = Form::new(Mode::Test);
    let html = owner.with(|| {
        let (form, message) = (RwSignal::new(form), RwSignal::new(String::new()));
        match layout {
            Layout::Card | Layout::Cvc => view! { <CardForm layout form message /> }.to_html(),
            Layout::Field(field) if Field::EXTRA.contains(&field) => {
                view! { <ExtraForm field /> }.to_html()
            }
            Layout::Field(field) => view! { <FieldForm field form /> }.to_html(),
            Layout::Split => String::new(),
        }
    });
    owner.cleanup();
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    #[track_caller]
    fn check(layout: Layout, fields: &[Field]) {
        let html = markup(layout);
        for field in Field::ALL {
            let id = format!("id=\"{}\"", field.id());
            let times = usize::from(fields.contains(&field));
            assert_eq!(html.matches(&id).count(), times, "{id} in {layout:?}");
        }
        let texts = fields.iter().filter(|field| **field != Field::Save).count();
        assert_eq!(html.matches("aria-invalid=\"false\"").count(), texts);
        assert_eq!(html.matches("aria-describedby=").count(), texts);
        assert_eq!(html.starts_with("<form"), !fields.is_empty(), "{html}");
        // A policy of hashes refuses these, and no value may be there before the buyer.
        for refused in ["style=", "<script", "value="] {
            assert!(!html.contains(refused), "{refused} in {layout:?}");
        }
        assert!(!has_handler(&html), "{layout:?}");
    }

    /// An attribute `on..=`; a label may have the word.
    fn has_handler(html: &str) -> bool {
        html.split(" on").skip(1).any(|rest| {
            let name = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
            name.len() < rest.len() && name.starts_with('=')
        })
    }

    #[test]
    fn a_document_holds_its_fields_and_no_other() {
        check(Layout::Card, &Field::CARD);
        check(Layout::Cvc, &[Field::Cvc]);
        check(Layout::Split, &[]);
        for field in Field::ALL {
            check(Layout::Field(field), &[field]);
        }
    }
}
