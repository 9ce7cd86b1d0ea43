//! Prints `src/protobuf/messages.txt` from the Go types of the Kubernetes API.
//!
//! The Go types are the source, not the `.proto` files, because only they tell a field that is zero from
//! one that is not there: the latter's type is a pointer.
//!
//! Usage: `cargo run -p prefect-e2e-api-server --example protobuf_messages -- GOMODCACHE/k8s.io 0.34.4`

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// The packages that hold the served kinds, and the module and path of each.
const PACKAGES: [(&str, &str); 16] = [
    ("meta", "apimachinery/pkg/apis/meta/v1"),
    ("core", "api/core/v1"),
    ("apps", "api/apps/v1"),
    ("authentication", "api/authentication/v1"),
    ("authorization", "api/authorization/v1"),
    ("autoscaling", "api/autoscaling/v2"),
    ("scale", "api/autoscaling/v1"),
    ("batch", "api/batch/v1"),
    ("coordination", "api/coordination/v1"),
    ("discovery", "api/discovery/v1"),
    ("events", "api/events/v1"),
    ("networking", "api/networking/v1"),
    ("policy", "api/policy/v1"),
    ("rbac", "api/rbac/v1"),
    ("scheduling", "api/scheduling/v1"),
    ("storage", "api/storage/v1"),
];

/// Kinds that are sent, besides those of [`PACKAGES`] that have an `ObjectMeta`.
const PARAMETERS: [&str; 1] = ["meta.DeleteOptions"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, version] = arguments.as_slice() else {
        return Err("usage: protobuf_messages DIRECTORY VERSION".into());
    };
    let mut sources = Sources::default();
    for (package, path) in PACKAGES {
        let (module, rest) = path.split_once('/').ok_or("a path in a module")?;
        sources.read(
            package,
            &PathBuf::from(root)
                .join(format!("{module}@v{version}"))
                .join(rest),
        )?;
    }
    print!("{}", sources.reachable_messages()?);
    Ok(())
}

#[derive(Default)]
struct Sources {
    /// Fields of each message by their numbers.
    messages: BTreeMap<String, BTreeMap<u32, Field>>,
    /// Types that are another name for something plain.
    aliases: HashMap<String, String>,
}

struct Field {
    name: String,
    inline: bool,
    go_type: String,
}

impl Sources {
    fn read(&mut self, package: &str, directory: &Path) -> Result<(), Box<dyn Error>> {
        let imports =
            Regex::new(r#"(?m)^\s*(?:import )?(\w+) "k8s\.io/(?:api|apimachinery/pkg/apis)/(\w+)/(v\d)""#)?;
        let alias = Regex::new(r"(?m)^type (\w+) ((?:map\[\w+\]|\[\])?[\w.]+)$")?;
        let structs = Regex::new(r"(?ms)^type (\w+) struct \{\n(.*?)^\}")?;
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let is_wanted =
                matches!(name, "types.go" | "micro_time.go") || package == "meta" && name == "meta.go";
            if !is_wanted {
                continue;
            }
            let source = fs::read_to_string(&path)?;
            let imports: HashMap<String, String> = imports
                .captures_iter(&source)
                .map(|found| (found[1].to_owned(), found[2].to_owned()))
                .collect();
            for found in alias.captures_iter(&source) {
                let target = qualified(&found[2], package, &imports);
                self.aliases.insert(format!("{package}.{}", &found[1]), target);
            }
            for found in structs.captures_iter(&source) {
                let fields = fields(&found[2], package, &imports)?;
                self.messages.insert(format!("{package}.{}", &found[1]), fields);
            }
        }
        Ok(())
    }

    fn reachable_messages(&self) -> Result<String, Box<dyn Error>> {
        let kinds = self.messages.iter().filter(|(name, fields)| {
            PARAMETERS.contains(&name.as_str())
                || fields
                    .values()
                    .any(|field| field.go_type == "meta.ObjectMeta" && field.name == "metadata")
        });
        let mut waiting: Vec<&String> = kinds.map(|(name, _)| name).collect();
        let mut reached = BTreeSet::new();
        let mut text = BTreeMap::new();
        while let Some(name) = waiting.pop() {
            if !reached.insert(name) {
                continue;
            }
            let mut line = name.clone();
            for (number, field) in &self.messages[name] {
                let (code, message) = self.code(&field.go_type)?;
                let inline = if field.inline { "^" } else { "" };
                write!(line, " {number}{inline}{}={code}", field.name)?;
                if let Some((message, _)) = message.and_then(|message| self.messages.get_key_value(&message))
                {
                    waiting.push(message);
                }
            }
            text.insert(name, line);
        }
        Ok(text.into_values().map(|line| line + "\n").collect())
    }

    /// The code of a type, and the message that it leads to.
    fn code(&self, go_type: &str) -> Result<(String, Option<String>), Box<dyn Error>> {
        if let Some(inner) = go_type.strip_prefix('*') {
            let (code, message) = self.code(inner)?;
            return Ok((format!("*{code}"), message));
        }
        if go_type == "[]byte" {
            return Ok(("bytes".into(), None));
        }
        if let Some(inner) = go_type.strip_prefix("[]") {
            let (code, message) = self.code(inner)?;
            return Ok((format!("[]{code}"), message));
        }
        if let Some((_, inner)) = go_type.strip_prefix("map[").and_then(|rest| rest.split_once(']')) {
            let (code, message) = self.code(inner)?;
            return Ok((format!("{{}}{code}"), message));
        }
        let plain = match go_type {
            "string" | "types.UID" | "types.NodeName" => "string",
            "int32" | "int64" | "int" => "int",
            "bool" => "bool",
            "float64" => "double",
            "resource.Quantity" => "quantity",
            "intstr.IntOrString" => "int_or_string",
            "runtime.RawExtension" => "raw",
            "meta.Time" => "time",
            "meta.MicroTime" => "micro_time",
            "meta.FieldsV1" => "raw",
            // a list that is a message of its own, because it is the value of a map
            "authentication.ExtraValue" | "authorization.ExtraValue" => "strings",
            _ => "",
        };
        if !plain.is_empty() {
            return Ok((plain.to_owned(), None));
        }
        if let Some(target) = self.aliases.get(go_type) {
            return self.code(target);
        }
        if self.messages.contains_key(go_type) {
            return Ok((go_type.to_owned(), Some(go_type.to_owned())));
        }
        Err(format!("an unknown type: {go_type}").into())
    }
}

fn fields(
    body: &str,
    package: &str,
    imports: &HashMap<String, String>,
) -> Result<BTreeMap<u32, Field>, Box<dyn Error>> {
    let line = Regex::new(
        r#"(?m)^\s*(?:\w+ +)?(\S+)\s+`.*?json:"([^",]*)(,inline)?[^"]*".*?protobuf:"\w+,(\d+),\w+(?:,name=(\w+))?"#,
    )?;
    let mut fields = BTreeMap::new();
    for found in line.captures_iter(body) {
        let inline = found.get(3).is_some();
        let field = Field {
            name: if inline {
                String::new()
            } else {
                found[2].to_owned()
            },
            inline,
            go_type: qualified(&found[1], package, imports),
        };
        fields.insert(found[4].parse()?, field);
    }
    Ok(fields)
}

/// A type with the package that it is from.
fn qualified(go_type: &str, package: &str, imports: &HashMap<String, String>) -> String {
    const PLAIN: [&str; 7] = ["string", "int32", "int64", "int", "bool", "float64", "byte"];
    let start = go_type.rfind(['*', ']']).map_or(0, |place| place + 1);
    let (shape, name) = go_type.split_at(start);
    let name = match name.split_once('.') {
        Some((alias, name)) => format!("{}.{name}", imports.get(alias).map_or(alias, String::as_str)),
        None if PLAIN.contains(&name) => name.to_owned(),
        None => format!("{package}.{name}"),
    };
    format!("{shape}{name}")
}
