//! What is seen: the components, and the markup that the build writes into the document.
//!
//! The same components make both. The inputs are in the document from its first byte and take keys while the wasm
//! arrives; `browser` then takes the elements over as they are, with whatever was typed, focus and caret included.

mod card_form;
mod field;

pub use card_form::CardForm;

use leptos::prelude::*;
use leptos::reactive::diagnostics::SpecialNonReactiveZone;

use crate::form::Form;
use crate::mode::Mode;

/// The markup of an empty form, as the document holds it.
#[must_use]
pub fn markup() -> String {
    let owner = Owner::new();
    // Written once: nothing here follows a signal, and nothing needs to be warned of that.
    let _once = SpecialNonReactiveZone::enter();
    // An empty form looks the same in both modes.
    let form = Form::new(Mode::Test);
    let html = owner.with(|| {
        let (form, message) = (RwSignal::new(form), RwSignal::new(String::new()));
        view! { <CardForm form message /> }.to_html()
    });
    owner.cleanup();
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::{Asks, Field};

    #[test]
    fn the_markup_is_that_of_an_empty_form() {
        let html = markup();
        assert!(
            html.starts_with("<form") && html.ends_with("</form>"),
            "{html}"
        );
        for field in Field::ALL {
            let id = format!("id=\"{}\"", field.id());
            let expected = usize::from(Asks::default().has(field));
            assert_eq!(html.matches(&id).count(), expected, "{id}");
        }
        assert_eq!(html.matches("aria-invalid=\"false\"").count(), 3);
        // A policy of hashes refuses these, and no value may be there before the buyer.
        for refused in ["style=", "<script", " on", "value="] {
            assert!(!html.contains(refused), "{refused}");
        }
    }
}
