//! Generated documents: docs/ is made from the tables, the command line and the types.
//!
//! In: the hop table, clap's definition, the snapshot's types. Out: files in docs/. The test here holds
//! them to what they are made from; with NETPATH_WRITE_DOCS=1 it writes them (`cargo xtask docs`).

mod cli;
mod hops;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::CommandFactory as _;
use serde_json::Value;

use crate::{cli::args::Args, snapshot::Snapshot};

/// Of what is generated into a folder of its own, nothing else may lie there.
const OWN_FOLDERS: [&str; 2] = ["man", "completions"];

/// All files, by their name in docs/.
fn all() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    files.insert("hops.md".into(), hops::render().into_bytes());
    files.insert("cli.md".into(), cli::render(Args::command()).into_bytes());
    files.insert("report.schema.json".into(), schema());
    files.extend(cli::man_pages(Args::command()));
    files.extend(cli::completions(&Args::command()));
    files
}

fn schema() -> Vec<u8> {
    let mut schema = schemars::schema_for!(Snapshot);
    schema.insert("title".to_owned(), crate::snapshot::SCHEMA.into());
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text.into_bytes()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

#[test]
fn generated_documents_are_up_to_date() {
    let (files, docs) = (all(), folder());
    if std::env::var("NETPATH_WRITE_DOCS").as_deref() == Ok("1") {
        for own in OWN_FOLDERS {
            let _ = fs::remove_dir_all(docs.join(own));
        }
        for (name, content) in &files {
            let path = docs.join(name);
            fs::create_dir_all(path.parent().expect("it is in docs/")).expect("docs/ is writable");
            fs::write(path, content).expect("docs/ is writable");
        }
    }
    for (name, content) in &files {
        let found = fs::read(docs.join(name)).unwrap_or_default();
        assert!(found == *content, "docs/{} is not up to date: cargo xtask docs", name.display());
    }
    for own in OWN_FOLDERS {
        for entry in fs::read_dir(docs.join(own)).expect("it is generated") {
            let name = Path::new(own).join(entry.expect("it can be read").file_name());
            assert!(files.contains_key(&name), "docs/{} is not generated", name.display());
        }
    }
}

/// Where `value` is not as `schema` says, of what schemas of plain types consist of: references,
/// properties, items.
fn faults(value: &Value, schema: &Value, root: &Value, at: &str, out: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        return faults(value, root.pointer(pointer).unwrap_or(&Value::Null), root, at, out);
    }
    if let Some(ways) = schema["anyOf"].as_array() {
        let fits = ways.iter().any(|way| {
            let mut found = Vec::new();
            faults(value, way, root, at, &mut found);
            found.is_empty()
        });
        if !fits {
            out.push(format!("{at} fits none of its forms"));
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = |t: &Value| t == kind || (t == "number" && kind == "integer");
    let types = &schema["type"];
    let any = types.is_null();
    if !any && !allowed(types) && !types.as_array().is_some_and(|all| all.iter().any(allowed)) {
        out.push(format!("{at} is a {kind}, not {types}"));
    }
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        faults(item, &schema["items"], root, &format!("{at}/{i}"), out);
    }
    let Some(object) = value.as_object().filter(|_| !any) else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        if name.as_str().is_some_and(|name| !object.contains_key(name)) {
            out.push(format!("{at} has no {name}"));
        }
    }
    for (name, value) in object {
        let of_name = &schema["properties"][name];
        let of_any = &schema["additionalProperties"];
        let schema = if of_name.is_null() { of_any } else { of_name };
        if schema.is_null() {
            out.push(format!("{at}/{name} is not in the schema"));
        }
        faults(value, schema, root, &format!("{at}/{name}"), out);
    }
}

#[test]
fn a_report_is_as_the_schema_says() {
    let schema: Value = serde_json::from_slice(&schema()).expect("JSON");
    let mut report = serde_json::to_value(crate::report::tests::fixture()).expect("JSON");
    let mut found = Vec::new();
    faults(&report, &schema, &schema, "", &mut found);
    assert!(found.is_empty(), "{found:#?}");
    // And a fault is one.
    report["paths"][0]["hops"][0]["count"] = "many".into();
    faults(&report, &schema, &schema, "", &mut found);
    assert_eq!(found.len(), 1, "{found:#?}");
}
