//! Objects in the binary form that typed Go clients send.
//!
//! `kubectl create` and `helm` from client-go 0.32 on write in this form and cannot be told otherwise;
//! they read JSON, so nothing is ever written in it here.
//!
//! Source: `k8s.io/apimachinery/pkg/runtime/serializer/protobuf`.

mod messages;
mod wire;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value};

use self::{
    messages::{Field, Plain, Shape, Type, message},
    wire::{Reader, WireValue},
};

/// What the bytes begin with.
const MAGIC: &[u8] = b"k8s\0";

/// Why bytes are no object.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ProtobufError {
    /// The bytes do not begin as an object does.
    #[error("the body does not begin with the prefix of Kubernetes protobuf")]
    Prefix,
    /// The bytes end within a field or are of no known wire type.
    #[error("the body is not valid protobuf")]
    Malformed,
    /// The kind is none of those that are known in this form.
    #[error("{api_version} {kind} is not known in protobuf form: send application/json")]
    UnknownKind {
        /// As sent.
        api_version: String,
        /// As sent.
        kind: String,
    },
}

/// The JSON form of an object.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::Prefix)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for entry in Reader::new(envelope) {
        match entry? {
            (1, WireValue::Bytes(type_meta)) => {
                for entry in Reader::new(type_meta) {
                    match entry? {
                        (1, value) => api_version = value.text()?,
                        (2, value) => kind = value.text()?,
                        _ => {}
                    }
                }
            }
            (2, WireValue::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let Some(fields) = message(&message_name(&api_version, &kind)) else {
        return Err(ProtobufError::UnknownKind { api_version, kind });
    };
    let mut object = Map::new();
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    decode_message(fields, raw, &mut object)?;
    Ok(object.into())
}

/// The packages are called as the first word of their groups.
fn message_name(api_version: &str, kind: &str) -> String {
    let package = match (api_version, kind) {
        (_, "DeleteOptions") => "meta",
        ("v1", _) => "core",
        ("autoscaling/v1", _) => "scale",
        (other, _) => other.split(['.', '/']).next().unwrap_or_default(),
    };
    format!("{package}.{kind}")
}

fn decode_message(
    fields: &[Field],
    bytes: &[u8],
    object: &mut Map<String, Value>,
) -> Result<(), ProtobufError> {
    for entry in Reader::new(bytes) {
        let (number, wire) = entry?;
        let Some(field) = fields.iter().find(|field| field.number == number) else {
            continue;
        };
        match field.shape {
            Shape::Inline => {
                if let (Type::Message(name), WireValue::Bytes(bytes)) = (field.of, &wire) {
                    decode_message(message(name).unwrap_or_default(), bytes, object)?;
                }
            }
            Shape::Value | Shape::Pointer => {
                let value = decode_value(field.of, &wire)?;
                if field.shape == Shape::Pointer || !is_zero(&value) {
                    object.insert(field.name.to_owned(), value);
                }
            }
            Shape::List => {
                let list = object
                    .entry(field.name)
                    .or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(decode_value(field.of, &wire)?);
                }
            }
            Shape::Map => {
                let (key, value) = decode_entry(field.of, &wire)?;
                let map = object.entry(field.name).or_insert_with(|| Map::new().into());
                map[key] = value;
            }
        }
    }
    Ok(())
}

/// Whether a field that always is written says nothing.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn decode_entry(of: Type, wire: &WireValue<'_>) -> Result<(String, Value), ProtobufError> {
    let (mut key, mut value) = (String::new(), None);
    for entry in Reader::new(wire.bytes()?) {
        match entry? {
            (1, wire) => key = wire.text()?,
            (2, wire) => value = Some(decode_value(of, &wire)?),
            _ => {}
        }
    }
    let value = match value {
        Some(value) => value,
        None => decode_value(of, &WireValue::Bytes(&[]))?,
    };
    Ok((key, value))
}

fn decode_value(of: Type, wire: &WireValue<'_>) -> Result<Value, ProtobufError> {
    match of {
        Type::Message(name) => {
            let mut object = Map::new();
            decode_message(message(name).unwrap_or_default(), wire.bytes()?, &mut object)?;
            Ok(object.into())
        }
        Type::Plain(plain) => decode_plain(plain, wire),
    }
}

fn decode_plain(plain: Plain, wire: &WireValue<'_>) -> Result<Value, ProtobufError> {
    Ok(match plain {
        Plain::String => wire.text()?.into(),
        Plain::Int => wire.int()?.into(),
        Plain::Bool => (wire.int()? != 0).into(),
        Plain::Double => wire.double()?.into(),
        Plain::Bytes => BASE64_STANDARD.encode(wire.bytes()?).into(),
        Plain::Quantity => first_field(wire)?
            .map_or(Ok(String::new()), |wire| wire.text())?
            .into(),
        Plain::Raw => match first_field(wire)? {
            Some(json) => serde_json::from_slice(json.bytes()?).map_err(|_| ProtobufError::Malformed)?,
            None => Value::Null,
        },
        Plain::Strings => {
            let strings = Reader::new(wire.bytes()?).map(|entry| entry?.1.text());
            strings.collect::<Result<Vec<_>, _>>()?.into()
        }
        Plain::IntOrString => decode_int_or_string(wire)?,
        Plain::Time | Plain::MicroTime => decode_time(plain, wire)?,
    })
}

fn first_field<'a>(wire: &WireValue<'a>) -> Result<Option<WireValue<'a>>, ProtobufError> {
    for entry in Reader::new(wire.bytes()?) {
        if let (1, value) = entry? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn decode_int_or_string(wire: &WireValue<'_>) -> Result<Value, ProtobufError> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for entry in Reader::new(wire.bytes()?) {
        match entry? {
            (1, value) => is_text = value.int()? == 1,
            (2, value) => number = value.int()?,
            (3, value) => text = value.text()?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// A time without seconds is no time.
fn decode_time(plain: Plain, wire: &WireValue<'_>) -> Result<Value, ProtobufError> {
    let (mut seconds, mut nanoseconds) = (None, 0);
    for entry in Reader::new(wire.bytes()?) {
        match entry? {
            (1, value) => seconds = Some(value.int()?),
            (2, value) => nanoseconds = value.int()?,
            _ => {}
        }
    }
    let Some(seconds) = seconds else {
        return Ok(Value::Null);
    };
    let nanoseconds = i32::try_from(nanoseconds).map_err(|_| ProtobufError::Malformed)?;
    let time = jiff::Timestamp::new(seconds, nanoseconds).map_err(|_| ProtobufError::Malformed)?;
    let format = if plain == Plain::Time {
        "%Y-%m-%dT%H:%M:%SZ"
    } else {
        "%Y-%m-%dT%H:%M:%S.%6fZ"
    };
    Ok(time.strftime(format).to_string().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// What `kubectl create configmap a --from-literal=x=y` of client-go 0.32 sends.
    const CONFIG_MAP: &[u8] =
        b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x1b\x0a\x11\x0a\x01a\x12\0\x1a\0\"\0\
        *\x002\08\0B\0\x12\x06\x0a\x01x\x12\x01y\x1a\0\"\0";

    #[test]
    fn what_kubectl_sends_is_read() {
        let expected = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "y"},
        });
        assert_eq!(decode(CONFIG_MAP).unwrap(), expected);
    }

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        [&[number << 3 | 2, length], bytes].concat()
    }

    fn int(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }

    fn object(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC, &field(1, &type_meta), &field(2, raw)].concat()
    }

    #[test]
    fn a_zero_is_kept_where_it_differs_from_nothing() {
        // replicas is a pointer, minReadySeconds is not
        let spec = [int(1, 0), int(5, 0)].concat();
        let decoded = decode(&object("apps/v1", "Deployment", &field(2, &spec))).unwrap();
        assert_eq!(decoded["spec"], json!({"replicas": 0}));
    }

    #[test]
    fn embedded_messages_lie_flat() {
        let empty_dir = field(2, b"");
        let volume = [field(1, b"v"), field(2, &empty_dir)].concat();
        let decoded = decode(&object("v1", "Pod", &field(2, &field(1, &volume)))).unwrap();
        assert_eq!(decoded["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
    }

    #[rstest]
    #[case::number([int(1, 0), int(2, 80)].concat(), json!(80))]
    #[case::name([int(1, 1), field(3, b"http")].concat(), json!("http"))]
    fn ports_are_numbers_or_names(#[case] target: Vec<u8>, #[case] expected: Value) {
        let port = [int(3, 80), field(4, &target)].concat();
        let decoded = decode(&object("v1", "Service", &field(2, &field(1, &port)))).unwrap();
        assert_eq!(decoded["spec"]["ports"][0]["targetPort"], expected);
    }

    #[test]
    fn times_quantities_and_bytes_are_read() {
        let time = field(8, &[int(1, 60), int(2, 0)].concat());
        let metadata = field(1, &time);
        let data = field(2, &[field(1, b"k"), field(2, b"\x00\x01")].concat());
        let secret = decode(&object("v1", "Secret", &[metadata, data].concat())).unwrap();
        assert_eq!(secret["metadata"]["creationTimestamp"], "1970-01-01T00:01:00Z");
        assert_eq!(secret["data"], json!({"k": "AAE="}));
        let capacity = field(1, &[field(1, b"storage"), field(2, &field(1, b"1Gi"))].concat());
        let volume = decode(&object("v1", "PersistentVolume", &field(2, &capacity))).unwrap();
        assert_eq!(volume["spec"]["capacity"], json!({"storage": "1Gi"}));
    }

    #[test]
    fn options_are_the_same_in_every_group() {
        let decoded = decode(&object("apps/v1", "DeleteOptions", &int(1, 0))).unwrap();
        assert_eq!(decoded["gracePeriodSeconds"], 0);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(decode(b"{}"), Err(ProtobufError::Prefix));
        assert_eq!(decode(b"k8s\0\x0a\xff"), Err(ProtobufError::Malformed));
        let unknown = decode(&object("v1", "Teapot", b""));
        assert!(matches!(unknown, Err(ProtobufError::UnknownKind { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind in prop::sample::select(vec!["Pod", "Service", "Secret", "Event"]), raw: Vec<u8>) {
            let raw = &raw[..raw.len().min(127)];
            let _ = decode(&object("v1", kind, raw));
            let _ = decode(&[MAGIC, raw].concat());
        }
    }
}
