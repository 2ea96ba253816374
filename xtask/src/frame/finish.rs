//! The last step of both builds: from what Trunk (or [`super::run`]) staged to what the vault serves.
//!
//! Trim and optimise the wasm and name it by its hash; make one script of what shows the form and one of glue, snippets and
//! `boot.js`, and put them, with the style and the form's markup, into the documents; minify the loader; compress; write the manifest. The staged files go.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::document::{Document, Page};
use super::manifest::{Built, Frame, Manifest, sha384, short_hash};
use super::tools::{self, Npm};
use super::{NAME, features, glue, scripts};

/// Finishes `stage` in place.
pub fn finish(root: &Path, stage: &Path, tools_dir: &Path, npm: &Npm, inputs: &str) -> Result<()> {
    let html = fs::read_to_string(stage.join("index.html")).context("reading the staged HTML")?;
    let document = Document::parse(&html)?;

    let (wasm, names) = module(stage, &document, tools_dir, npm)?;
    let words = words(root)?;
    let front = scripts::front(root, npm, &of_words(&words), &scripts::FRONT)?;
    let script = script(root, stage, &document, npm, &wasm, &names)?;
    let style = npm.minify("css", &document.css)?.trim().to_owned();
    let field_script = npm.minify("js", &read(&root.join("checkout-wasm/src/field.js"))?)?;
    let mut documents = vec![];
    let written = tools::markup(root, NAME)?;
    let tables = written.iter().find(|(name, _)| name == "tables");
    let (_, tables) = tables.context("the native build wrote no tables")?;
    let plain = scripts::plain(root, npm, tables)?;
    for (layout, markup) in written.iter().filter(|(name, _)| name != "tables") {
        let is_field = layout.starts_with("field-");
        let page = Page {
            kind: if is_field { "field" } else { layout },
            markup,
            css: &style,
            front: if is_field { "" } else { &front },
            script: if is_field {
                field_script.trim()
            } else {
                &script
            },
            wasm: (!is_field).then_some(wasm.file.as_str()),
            plain: (!is_field).then_some(&plain),
        };
        documents.push(Frame::new(layout.clone(), document.write(&page)?, &page)?);
    }

    let payments = read(&root.join("checkout-wasm/sdk/payments.js"))?;
    let payments = npm.minify("js", &payments)?.into_bytes();
    let file = format!("assets/payments-{}.js", short_hash(&payments));
    let payments = Built::new("payments", file, payments)?;
    let loader = name_payments(&scripts::loader(root)?, &payments)?;
    let loader = npm.minify("js", &loader)?.into_bytes();
    let version = format!("{}-{}", env!("CARGO_PKG_VERSION"), short_hash(&loader));
    let loader = Built::new("loader", format!("cardseal-{version}.js"), loader)?;

    let mut assets = vec![
        (&wasm, "application/wasm"),
        (&payments, "text/javascript; charset=utf-8"),
        (&plain, "text/javascript; charset=utf-8"),
    ];
    assets.extend(words.iter().map(|words| (words, "application/json")));
    let manifest = Manifest {
        version: &version,
        inputs,
        documents: &documents,
        loader: &loader,
        assets: &assets,
        words: words.len(),
    };
    manifest.judge_sizes(npm.is_complete())?;
    let built = documents.iter().map(|frame| &frame.built);
    let assets = assets.iter().map(|(built, _)| *built);
    for built in built.chain([&loader]).chain(assets) {
        built.write(stage)?;
    }
    let json = serde_json::to_string_pretty(&manifest.json())? + "\n";
    fs::write(stage.join("manifest.json"), json)?;
    Ok(())
}

/// The loader knows the part that it fetches later by name and digest: its own digest pins both.
fn name_payments(loader: &str, payments: &Built) -> Result<String> {
    let places = [
        ("{payments.file}", payments.file.clone()),
        ("{payments.integrity}", sha384(&payments.content)),
    ];
    let mut named = loader.to_owned();
    for (place, value) in places {
        ensure!(named.contains(place), "the loader has no place {place}");
        named = named.replace(place, &value);
    }
    Ok(named)
}

/// The wasm, trimmed, optimised and named; and what `wasm-trim` renamed.
fn module(
    stage: &Path,
    document: &Document,
    tools_dir: &Path,
    npm: &Npm,
) -> Result<(Built, String)> {
    let staged = stage.join(&document.wasm);
    let trimmed = stage.join("trimmed.wasm");
    let names = tools::wasm_trim(tools_dir, &staged, &trimmed)?;
    npm.optimise(&trimmed)?;
    let content = features::strip_names(&fs::read(&trimmed)?)?;
    fs::remove_file(&staged)?;
    // With its names, and not served: `cargo xtask frame --features` reads it.
    fs::rename(&trimmed, stage.join(features::NAMED))?;
    let file = format!("assets/{NAME}-{}.wasm", short_hash(&content));
    Ok((Built::new("wasm", file, content)?, names))
}

/// Where words are and in which languages, for the front.
fn of_words(words: &[Built]) -> String {
    let locales: Vec<_> = words
        .iter()
        .filter_map(|built| built.file.strip_suffix(".json")?.split_once('_'))
        .collect();
    let names: Vec<_> = locales.iter().map(|(_, locale)| *locale).collect();
    format!(
        "const WORDS_URL = \"{}_\", LOCALES = \"{}\".split(\" \");\n",
        locales.first().map_or("", |(url, _)| url),
        names.join(" "),
    )
}

/// The document's second script, which runs the wasm.
fn script(
    root: &Path,
    stage: &Path,
    document: &Document,
    npm: &Npm,
    wasm: &Built,
    names: &str,
) -> Result<String> {
    let glue = read(&stage.join(&document.js))?;
    let boot = read(&root.join("checkout-wasm/src/boot.js"))?;
    let constants = format!(
        "const WASM_URL = \"{}\", WASM_INTEGRITY = \"{}\";\n",
        wasm.file,
        sha384(&wasm.content),
    );
    let script = glue::script(&glue, stage, names, &constants, &boot)?;
    fs::remove_file(stage.join(&document.js))?;
    let snippets = stage.join("snippets");
    if snippets.exists() {
        fs::remove_dir_all(snippets)?;
    }
    Ok(npm.minify("js", &script)?.trim().to_owned())
}

/// The words of each language, in files of one hash: `assets/words-{hash}_{locale}.json`.
fn words(root: &Path) -> Result<Vec<Built>> {
    let folder = root.join("checkout-wasm/words");
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(&folder).context("reading checkout-wasm/words")? {
        let path = entry?.path();
        let locale = path.file_stem().unwrap_or_default().to_string_lossy();
        let json: serde_json::Value = serde_json::from_str(&read(&path)?)
            .with_context(|| format!("parsing {}", path.display()))?;
        texts.insert(locale.into_owned(), serde_json::to_string(&json)?);
    }
    let all: Vec<&str> = texts.values().map(String::as_str).collect();
    let hash = short_hash(all.concat().as_bytes());
    texts
        .iter()
        .map(|(locale, text)| {
            let file = format!("assets/words-{hash}_{locale}.json");
            Built::new("words", file, text.clone().into_bytes())
        })
        .collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}
