//! The field pages of what only some pages ask for: holder's name, postal code, the checkbox. Written into their
//! documents by the build and kept up to date by `extras.js`, which makes the same elements in a whole card: a
//! component in the wasm would cost every buyer ten times as much.

use leptos::prelude::*;

use crate::form::Field;

/// One optional field of a split form.
#[component]
pub fn ExtraForm(
    /// Which one.
    field: Field,
) -> impl IntoView {
    let label = label(field);
    let row = if field == Field::Save {
        view! {
            <label class="save">
                <input type="checkbox" id=field.id() />
                <span>{label}</span>
            </label>
        }
        .into_any()
    } else {
        let (autocomplete, fault) = match field {
            Field::Name => ("cc-name", "name-fault"),
            _ => ("postal-code", "postal-fault"),
        };
        view! {
            <div class="row">
                <label for=field.id()>{label}</label>
                <div class="control">
                    <input
                        id=field.id()
                        type="text"
                        inputmode="text"
                        autocomplete=autocomplete
                        aria-invalid="false"
                        aria-describedby=fault
                        aria-required="true"
                        spellcheck="false"
                    />
                </div>
                <p class="fault" id=fault hidden></p>
            </div>
        }
        .into_any()
    };
    view! {
        <form id="form" aria-label=label novalidate>
            {row}
        </form>
    }
}

/// Its label in English, as `extras.js` has it.
fn label(field: Field) -> &'static str {
    match field {
        Field::Name => "Name on card",
        Field::PostalCode => "Postal code",
        _ => "Save this card for future payments",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_a_whole_card() {
        let extras = include_str!("../browser/extras.js");
        for (field, key) in Field::EXTRA
            .into_iter()
            .zip(["name", "postal_code", "save"])
        {
            let line = format!("  {key}: \"{}\",", label(field));
            assert!(extras.lines().any(|other| other == line), "{line}");
        }
    }
}
