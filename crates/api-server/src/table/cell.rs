//! What stands in the cells of tables, and how it is written.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Column, column};

pub(super) const AGE: Column = column("Age", |object| {
    age(&object["metadata"]["creationTimestamp"]).into()
});

pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn number(value: &Value) -> Value {
    value.as_i64().unwrap_or(0).into()
}

pub(super) fn or_none(value: &Value) -> Value {
    if value.as_str().is_none_or(str::is_empty) {
        "<none>".into()
    } else {
        value.clone()
    }
}

pub(super) fn length(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

pub(super) fn count(value: &Value) -> Value {
    length(value).into()
}

pub(super) fn data_count(object: &Value) -> Value {
    let entries = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    (entries("data") + entries("binaryData")).into()
}

pub(super) fn joined_or_empty(list: &Value, text: fn(&Value) -> String) -> Value {
    list.as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect::<Vec<_>>()
        .join(",")
        .into()
}

pub(super) fn joined(list: &Value, text: fn(&Value) -> String) -> Value {
    if length(list) == 0 {
        "<none>".into()
    } else {
        joined_or_empty(list, text)
    }
}

pub(super) fn pairs(map: &Value) -> Value {
    let pairs = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", plain(value)));
    let text = pairs.collect::<Vec<_>>().join(",");
    if text.is_empty() {
        "<none>".into()
    } else {
        text.into()
    }
}

pub(super) fn selector(object: &Value) -> Value {
    pairs(&object["spec"]["selector"]["matchLabels"])
}

pub(super) fn containers(object: &Value, field: &str) -> Value {
    let containers = object["spec"]["template"]["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten();
    containers
        .map(|container| plain(&container[field]))
        .collect::<Vec<_>>()
        .join(",")
        .into()
}

pub(super) fn ready_of_wanted(object: &Value) -> Value {
    let ready = object["status"]["readyReplicas"].as_i64().unwrap_or(0);
    format!("{ready}/{}", object["spec"]["replicas"].as_i64().unwrap_or(0)).into()
}

pub(super) fn timestamp(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

pub(super) fn age(time: &Value) -> String {
    match timestamp(time) {
        Some(then) => human(Timestamp::now().duration_since(then)),
        None => "<unknown>".into(),
    }
}

/// A duration as `kubectl` prints it: two units at most, the second only while it matters.
///
/// Source: `k8s.io/apimachinery/pkg/util/duration.HumanDuration`.
pub(super) fn human(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |first: i64, unit: char, second: i64, small: char| match second {
        0 => format!("{first}{unit}"),
        _ => format!("{first}{unit}{second}{small}"),
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10800 => format!("{minutes}m"),
        10800..28800 => two(hours, 'h', minutes % 60, 'm'),
        28800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        _ => two(days / 365, 'y', days % 365, 'd'),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0s")]
    #[case(119, "119s")]
    #[case(125, "2m5s")]
    #[case(601, "10m")]
    #[case(10860, "3h1m")]
    #[case(86400, "24h")]
    #[case(176_400, "2d1h")]
    #[case(864_000, "10d")]
    fn durations_read_as_in_kubectl(#[case] seconds: i64, #[case] expected: &str) {
        assert_eq!(human(SignedDuration::from_secs(seconds)), expected);
    }
}
