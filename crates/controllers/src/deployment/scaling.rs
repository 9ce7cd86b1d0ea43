//! How many replicas each ReplicaSet of a deployment gets.

use k8s_openapi::{
    api::apps::v1::{DeploymentSpec, ReplicaSet},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt as _;

use super::annotation;

/// A ReplicaSet and the replicas that it is to have.
pub(super) type Plan = Vec<(ReplicaSet, i32)>;

/// The replicas that a ReplicaSet is asked for.
pub(super) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn available(set: &ReplicaSet) -> i32 {
    set.status
        .as_ref()
        .and_then(|status| status.available_replicas)
        .unwrap_or(0)
}

fn is_rolling(spec: &DeploymentSpec) -> bool {
    spec.strategy
        .as_ref()
        .is_some_and(|strategy| strategy.type_.as_deref() == Some("RollingUpdate"))
}

/// The pods that there may be beyond the replicas, and those that may be missing. At least one is
/// above zero, or the rollout could not begin.
fn fenceposts(spec: &DeploymentSpec) -> (i32, i32) {
    if !is_rolling(spec) {
        return (0, 0);
    }
    let total = spec.replicas.unwrap_or(1);
    let rolling = spec
        .strategy
        .as_ref()
        .and_then(|strategy| strategy.rolling_update.clone())
        .unwrap_or_default();
    let surge = scaled_value(rolling.max_surge.as_ref(), total, true);
    let unavailable = scaled_value(rolling.max_unavailable.as_ref(), total, false);
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}

/// A number, or a percentage of `total`, rounded up or down.
fn scaled_value(value: Option<&IntOrString>, total: i32, round_up: bool) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent: i32 = text.trim_end_matches('%').parse().unwrap_or(0);
            let hundredths = total.saturating_mul(percent);
            if round_up {
                hundredths.saturating_add(99) / 100
            } else {
                hundredths / 100
            }
        }
    }
}

pub(super) fn max_surge(spec: &DeploymentSpec) -> i32 {
    fenceposts(spec).0
}

pub(super) fn max_unavailable(spec: &DeploymentSpec) -> i32 {
    fenceposts(spec).1.min(spec.replicas.unwrap_or(1))
}

/// The replicas of the new ReplicaSet in a rollout: as many as the surge lets there be.
pub(super) fn new_replicas(spec: &DeploymentSpec, all: &[ReplicaSet], new: &ReplicaSet) -> i32 {
    let (wanted, now) = (spec.replicas.unwrap_or(1), replicas(new));
    if !is_rolling(spec) || now > wanted {
        return wanted;
    }
    let present: i32 = all.iter().map(replicas).sum();
    let allowed = wanted + max_surge(spec);
    now + (allowed - present).clamp(0, wanted - now)
}

/// What the old ReplicaSets are scaled down to: first pods that are not available, then as many as
/// leave enough available.
pub(super) fn scale_down(spec: &DeploymentSpec, old: &[ReplicaSet], new: &ReplicaSet) -> Plan {
    let old_pods: i32 = old.iter().map(replicas).sum();
    if old_pods == 0 {
        return Plan::new();
    }
    let wanted = spec.replicas.unwrap_or(1);
    let least = wanted - max_unavailable(spec);
    let new_unavailable = replicas(new) - available(new);
    let spare = old_pods + replicas(new) - least - new_unavailable;
    if spare <= 0 {
        return Plan::new();
    }
    let mut sets: Vec<(ReplicaSet, i32)> = old.iter().map(|set| (set.clone(), replicas(set))).collect();
    sets.sort_by_key(|(set, _)| (set.creation_timestamp(), set.name_any()));
    let mut unhealthy = spare;
    for (set, target) in &mut sets {
        let taken = (*target - available(set)).clamp(0, unhealthy.max(0));
        unhealthy -= taken;
        *target -= taken;
    }
    let all_available: i32 = old.iter().map(available).sum::<i32>() + available(new);
    let mut surplus = all_available - least;
    for (_, target) in &mut sets {
        let taken = (*target).clamp(0, surplus.max(0));
        surplus -= taken;
        *target -= taken;
    }
    sets.retain(|(set, target)| *target != replicas(set));
    sets
}

/// What a changed number of replicas makes of the ReplicaSets.
pub(super) fn scaled(spec: &DeploymentSpec, all: &[ReplicaSet], new: Option<&ReplicaSet>) -> Plan {
    let wanted = spec.replicas.unwrap_or(1);
    let mut active: Vec<&ReplicaSet> = all.iter().filter(|set| replicas(set) > 0).collect();
    // while one ReplicaSet alone is active, or none, it takes all replicas
    let alone = match active.as_slice() {
        [] => new.or_else(|| {
            all.iter()
                .max_by_key(|set| (set.creation_timestamp(), set.name_any()))
        }),
        [one] => Some(*one),
        _ => None,
    };
    if let Some(one) = alone {
        return vec![(one.clone(), wanted)];
    }
    if new.is_some_and(|new| replicas(new) == wanted && available(new) == wanted) {
        let old = active
            .into_iter()
            .filter(|set| Some(set.uid()) != new.map(kube::ResourceExt::uid));
        return old.map(|set| (set.clone(), 0)).collect();
    }
    if !is_rolling(spec) {
        return Plan::new();
    }
    let present: i32 = active.iter().map(|set| replicas(set)).sum();
    let allowed = if wanted > 0 { wanted + max_surge(spec) } else { 0 };
    let to_add = allowed - present;
    // the newest grows first, the oldest shrinks first when sizes are equal
    active.sort_by_key(|set| (-replicas(set), set.creation_timestamp()));
    if to_add > 0 {
        active.sort_by_key(|set| (-replicas(set), std::cmp::Reverse(set.creation_timestamp())));
    }
    proportional(&active, allowed, to_add)
}

/// Spreads `to_add` over the ReplicaSets, each in proportion to its size; the first takes the rest.
fn proportional(active: &[&ReplicaSet], allowed: i32, to_add: i32) -> Plan {
    let mut added = 0;
    let mut plan: Plan = Plan::new();
    for set in active {
        let size = replicas(set);
        let before = annotation::max_replicas(set)
            .filter(|max| *max > 0)
            .unwrap_or(allowed);
        let ideal = (f64::from(size) * f64::from(allowed) / f64::from(before)).round();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a number of replicas, far below the limit"
        )]
        let share = ideal as i32 - size;
        let left = to_add - added;
        let share = if to_add > 0 {
            share.clamp(0, left)
        } else {
            share.clamp(left, 0)
        };
        added += share;
        plan.push(((*set).clone(), size + share));
    }
    if let Some((_, target)) = plan.first_mut() {
        *target = (*target + to_add - added).max(0);
    }
    plan
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn spec(replicas: i32, surge: &Value, unavailable: &Value) -> DeploymentSpec {
        serde_json::from_value(json!({
            "replicas": replicas, "selector": {}, "template": {},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
            },
        }))
        .unwrap()
    }

    /// A ReplicaSet made on this day, with so many pods asked for and available.
    fn set(day: u32, replicas: i32, available: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {
                "name": format!("set-{day}"), "uid": day.to_string(),
                "creationTimestamp": format!("2026-01-{day:02}T00:00:00Z"),
            },
            "spec": {"replicas": replicas, "selector": {}},
            "status": {"replicas": replicas, "availableReplicas": available},
        }))
        .unwrap()
    }

    fn targets(plan: &Plan) -> Vec<(String, i32)> {
        let mut targets: Vec<_> = plan
            .iter()
            .map(|(set, target)| (set.name_any(), *target))
            .collect();
        targets.sort();
        targets
    }

    fn expected(pairs: &[(&str, i32)]) -> Vec<(String, i32)> {
        pairs
            .iter()
            .map(|(name, target)| ((*name).to_owned(), *target))
            .collect()
    }

    #[rstest]
    #[case(10, json!("25%"), json!("25%"), (3, 2))]
    #[case(1, json!("25%"), json!("25%"), (1, 0))]
    #[case(4, json!(0), json!("10%"), (0, 1))]
    #[case(4, json!(2), json!(1), (2, 1))]
    fn surge_is_rounded_up_and_unavailability_down(
        #[case] replicas: i32,
        #[case] surge: Value,
        #[case] unavailable: Value,
        #[case] posts: (i32, i32),
    ) {
        assert_eq!(fenceposts(&spec(replicas, &surge, &unavailable)), posts);
    }

    #[rstest]
    #[case(&[set(1, 3, 3)], set(2, 0, 0), 1)]
    #[case(&[set(1, 2, 2)], set(2, 1, 1), 2)]
    #[case(&[set(1, 3, 3)], set(2, 1, 1), 1)]
    #[case(&[], set(2, 0, 0), 3)]
    #[case(&[], set(2, 5, 5), 3)]
    fn the_new_set_grows_as_far_as_the_surge_lets_it(
        #[case] old: &[ReplicaSet],
        #[case] new: ReplicaSet,
        #[case] wanted: i32,
    ) {
        let all: Vec<ReplicaSet> = old.iter().chain([&new]).cloned().collect();
        assert_eq!(new_replicas(&spec(3, &json!(1), &json!(0)), &all, &new), wanted);
    }

    #[rstest]
    // nothing may be missing, and the new pod is not available yet
    #[case(&[set(1, 3, 3)], set(2, 1, 0), &[])]
    #[case(&[set(1, 3, 3)], set(2, 1, 1), &[("set-1", 2)])]
    // what is not available goes first, and needs no new pod for it
    #[case(&[set(1, 3, 1)], set(2, 1, 1), &[("set-1", 2)])]
    // the older set goes before the younger one
    #[case(&[set(1, 1, 1), set(2, 2, 2)], set(3, 1, 1), &[("set-1", 0)])]
    #[case(&[set(1, 0, 0)], set(2, 3, 3), &[])]
    fn old_sets_shrink_while_enough_pods_are_available(
        #[case] old: &[ReplicaSet],
        #[case] new: ReplicaSet,
        #[case] plan: &[(&str, i32)],
    ) {
        assert_eq!(
            targets(&scale_down(&spec(3, &json!(1), &json!(0)), old, &new)),
            expected(plan)
        );
    }

    #[rstest]
    #[case(6, &[set(1, 3, 3)], &[("set-1", 6)])]
    #[case(0, &[set(1, 3, 3)], &[("set-1", 0)])]
    // the new set is there: the old one has no part in it
    #[case(3, &[set(1, 2, 2), set(2, 3, 3)], &[("set-1", 0)])]
    // in the middle of a rollout each grows with its size
    #[case(20, &[set(1, 8, 8), set(2, 2, 0)], &[("set-1", 17), ("set-2", 4)])]
    #[case(0, &[set(1, 8, 8), set(2, 2, 0)], &[("set-1", 0), ("set-2", 0)])]
    fn a_changed_number_is_shared(
        #[case] replicas: i32,
        #[case] all: &[ReplicaSet],
        #[case] plan: &[(&str, i32)],
    ) {
        let mut all = all.to_vec();
        for set in &mut all {
            // as the deployment scaled them last, to ten
            annotation::mark_replicas(set, &spec(10, &json!(1), &json!(0)));
        }
        let new = all.last().cloned();
        let plan_found = scaled(&spec(replicas, &json!(1), &json!(0)), &all, new.as_ref());
        assert_eq!(targets(&plan_found), expected(plan));
    }
}
