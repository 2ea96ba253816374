//! The walls: `payments` and `demo-site` cannot name a card number. Checked over every kind of dependency, because a
//! cargo feature cannot hold such a wall: features unify across a workspace build.

use std::collections::{BTreeSet, VecDeque};

use cargo_metadata::{Metadata, MetadataCommand, PackageId};

/// Who must never reach whom, in any dependency kind.
const WALLS: [(&str, &str); 8] = [
    ("payments", "pan"),
    ("payments", "token-vault"),
    ("demo-site", "pan"),
    ("demo-site", "token-vault"),
    ("vault-api", "pan"),
    ("store", "pan"),
    ("service", "pan"),
    ("harness", "pan"),
];

/// The only packages that may name a card number directly.
const MAY_NAME_PAN: [&str; 3] = ["acquirer-sim", "checkout-wasm", "token-vault"];

#[test]
fn nobody_reaches_a_card_number_who_must_not() {
    let metadata = metadata();
    for (from, to) in WALLS {
        let reached = reach(&metadata, from);
        assert!(
            !reached.contains(to),
            "{from} reaches {to}: take the dependency out, or change ARCHITECTURE.md first"
        );
    }
}

#[test]
fn only_three_packages_name_pan() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let names_pan = package
            .dependencies
            .iter()
            .any(|dependency| dependency.name == "pan");
        let may = MAY_NAME_PAN.contains(&package.name.as_str());
        assert!(!names_pan || may, "{} depends on pan", package.name);
    }
}

/// The check itself can fail: the vault does reach what payments must not.
#[test]
fn the_walls_test_sees_a_breach() {
    assert!(reach(&metadata(), "token-vault").contains("pan"));
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .exec()
        .expect("cargo metadata answers")
}

fn reach(metadata: &Metadata, from: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    let name = |id: &PackageId| metadata[id].name.to_string();
    let start = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name == from)
        .expect("a package");
    let mut queue = VecDeque::from([start.id.clone()]);
    let mut seen = BTreeSet::new();
    while let Some(id) = queue.pop_front() {
        let Some(node) = resolve.nodes.iter().find(|node| node.id == id) else {
            continue;
        };
        for dependency in &node.deps {
            // Dev-dependencies count for the package itself; those of its dependencies are never built for it.
            let dev_only = dependency
                .dep_kinds
                .iter()
                .all(|k| k.kind == cargo_metadata::DependencyKind::Development);
            if (!dev_only || id == start.id) && seen.insert(name(&dependency.pkg)) {
                queue.push_back(dependency.pkg.clone());
            }
        }
    }
    seen
}
