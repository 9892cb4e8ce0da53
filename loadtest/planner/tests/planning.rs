//! What the planner promises.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use planner::overlay::Overlay;
use planner::quantity::right_sized;
use planner::{Capacity, Plan, Service, Values, check, report};
use proptest::prelude::*;
use serde_json::Value;

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../helm/cloudretail")
}

fn example(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name);
    std::fs::read_to_string(file).unwrap()
}

fn capacity(name: &str) -> Capacity {
    Capacity::parse(&example(name)).unwrap()
}

static PRODUCTION: LazyLock<Values> = LazyLock::new(|| {
    let file = chart().join("values-production.yaml");
    Values::read(&chart(), &[file]).unwrap()
});

static DEFAULTS: LazyLock<Values> = LazyLock::new(|| Values::read(&chart(), &[]).unwrap());

/// What `a.b[0]` of the values and of the capacity file is in their JSON.
fn spoil(document: &mut Value, path: &str, value: &str) {
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    *document.pointer_mut(&pointer).unwrap() = serde_json::from_str(value).unwrap();
}

/// What is said of the sample with another value at `path`.
fn refusal(path: &str, value: &str) -> String {
    let mut sample: Value = serde_json::from_str(&example("capacity.json")).unwrap();
    spoil(&mut sample, path, value);
    format!("{:#}", Capacity::parse(&sample.to_string()).unwrap_err())
}

#[test]
fn fifty_thousand_requests_at_a_thousand_a_pod_are_fifty_pods() {
    let plan = Plan::new(&capacity("fifty-thousand.json"), &DEFAULTS).unwrap();

    let gateway = &plan.services[&Service::Gateway];
    assert_eq!(
        (gateway.pods[0], gateway.max, gateway.requests_per_second),
        (50, 50, 1000)
    );
}

#[test]
fn three_hundred_millicores_and_384_mi_with_20_percent_are_360_and_460() {
    let plan = Plan::new(&capacity("fifty-thousand.json"), &DEFAULTS).unwrap();

    let gateway = &plan.services[&Service::Gateway];
    assert_eq!((gateway.cpu_millicores, gateway.memory_mib), (360, 460));
    assert_eq!(
        (right_sized(300.0), right_sized(384.0), right_sized(383.2)),
        (360, 460, 460)
    );
}

#[test]
fn a_maximum_of_20_pods_contradicts_fifty_thousand_requests() {
    let found = check::contradictions(&capacity("fifty-thousand.json"), &DEFAULTS).unwrap();

    let expected = "services.gateway.autoscaling.max: 20 pods carry 20000 requests/s; \
                    50000 (now) at 1000 a pod need 50";
    assert!(found.iter().any(|line| line == expected), "{found:#?}");
}

#[test]
fn the_growth_table_is_planned_for() {
    let plan = Plan::new(&capacity("capacity.json"), &PRODUCTION).unwrap();

    let demands: Vec<_> = plan
        .demands
        .iter()
        .map(|demand| (demand.name.as_str(), demand.requests_per_second))
        .collect();
    let expected = [
        ("now", 10_000.0),
        ("in 6 months", 15_000.0),
        ("in a year", 25_000.0),
        // Five thousand, half as much again in a year, three times that in season: fewer.
        ("sale in a year", 25_000.0),
    ];
    assert_eq!(demands, expected);
    assert_eq!(plan.services[&Service::Gateway].pods, [13, 19, 32, 32]);
}

#[test]
fn the_values_of_the_sample_are_as_they_were() {
    let capacity = capacity("capacity.json");
    let plan = Plan::new(&capacity, &PRODUCTION).unwrap();

    let yaml = Overlay::new(&capacity, &plan).to_yaml().unwrap();

    assert_eq!(yaml, example("values.yaml"));
}

#[test]
fn the_report_shows_every_view_and_service() {
    let (capacity, values) = (capacity("capacity.json"), &*PRODUCTION);
    let plan = Plan::new(&capacity, values).unwrap();
    let found = check::contradictions(&capacity, values).unwrap();

    let page = report::render(&capacity, &plan, values, &found).unwrap();

    for id in ["daily", "weekly", "monthly", "quarterly", "measured"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(
        Service::ALL
            .iter()
            .all(|service| page.contains(&format!("<td>{service}</td>")))
    );
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(!page.contains("NaN") && !page.contains("inf "));
    assert!(!page.contains("http") || page.matches("http://www.w3.org/2000/svg").count() == 4);
}

/// Where, what stands there instead, and what is said.
const REFUSED: [(&str, &str, &str); 11] = [
    ("load.now.requests_per_second", "-5", ": -5 is negative"),
    (
        "measured.services.order.requests_per_second",
        "0",
        ": 0 is not enough",
    ),
    ("load.season", "0.5", ": 0.5 is below 1"),
    ("load.hours[3]", "1.5", ": 1.5 is above 1"),
    (
        "load.goals[1].requests_per_second",
        "-1",
        ": -1 is negative",
    ),
    ("policy.load_share", "0", ": 0 is not enough"),
    ("prices.vcpu_hour", "\"free\"", ": invalid type"),
    ("limits.poolers", "-2", ": invalid value"),
    ("load.hours", "[1, 1]", ": invalid length 2"),
    ("load", "{\"later\": 1}", ".later: unknown field `later`"),
    (
        "measured.services",
        "{\"gate\": {}}",
        ".?: unknown variant `gate`",
    ),
];

#[test]
fn a_bad_number_is_refused_by_name() {
    for (path, value, expected) in REFUSED {
        let said = refusal(path, value);
        assert!(
            said.contains(&format!("{path}{expected}")),
            "{path}: {said}"
        );
    }
    let busy = refusal("load.hours[20]", "0.9");
    assert!(
        busy.contains("load.hours: no hour is 1, the busiest"),
        "{busy}"
    );
}

#[test]
fn a_number_that_is_none_is_refused() {
    for none in ["NaN", "1e999"] {
        let text =
            example("capacity.json").replace("\"season\": 3", &format!("\"season\": {none}"));
        let said = format!("{:#}", Capacity::parse(&text).unwrap_err());
        assert!(said.contains("load.season"), "{said}");
    }
}

#[test]
fn without_a_measurement_nothing_is_planned() {
    let mut sample: Value = serde_json::from_str(&example("capacity.json")).unwrap();
    sample.as_object_mut().unwrap().remove("measured");
    let capacity = Capacity::parse(&sample.to_string()).unwrap();

    let said = Plan::new(&capacity, &PRODUCTION).unwrap_err().to_string();

    assert!(said.starts_with("measured: missing"), "{said}");
}

#[test]
fn a_limit_that_cannot_be_kept_is_named() {
    let mut capacity = capacity("capacity.json");
    capacity.limits.connections = 60;

    let said = Plan::new(&capacity, &PRODUCTION).unwrap_err().to_string();

    assert!(said.starts_with("limits.connections"), "{said}");
}

/// Values that contradict the sample, in place of the planned ones.
const CONTRADICTING: [(&str, &str); 15] = [
    ("services.order.autoscaling.max", "3"),
    ("services.order.autoscaling.requestsPerSecond", "401"),
    ("services.user.resources.requests.cpu", "\"0.25\""),
    ("services.user.resources.limits.memory", "\"0.1Gi\""),
    ("services.order.settings.pool_size", "0"),
    ("sale.services.gateway.max", "31"),
    ("sale.services.gateway.min", "18"),
    (
        "databases.shards",
        "[{\"name\": \"a\", \"storage\": \"2Ti\"}]",
    ),
    ("databases.shards[1].storage", "\"10Gi\""),
    ("databases.maxConnections", "50"),
    ("databases.maxConnections", "201"),
    ("databases.pooler.poolSize", "1"),
    ("databases.pooler.clientsMax", "10"),
    ("kafka.partitions", "1"),
    ("kafka.storage", "\"1Gi\""),
];

#[test]
fn each_contradiction_names_its_value() {
    let capacity = capacity("capacity.json");
    let plan = Plan::new(&capacity, &PRODUCTION).unwrap();
    let planned = serde_json::to_value(Overlay::new(&capacity, &plan)).unwrap();

    for (path, value) in CONTRADICTING {
        let mut layer = planned.clone();
        spoil(&mut layer, path, value);
        let values = PRODUCTION.with(layer).unwrap();
        let found = check::contradictions(&capacity, &values).unwrap();
        assert!(
            found
                .iter()
                .any(|line| line.starts_with(&format!("{path}:"))),
            "{path}: {found:?}"
        );
    }
}

/// Loads, knees and limits of any sensible size.
fn capacities() -> impl Strategy<Value = Capacity> {
    (
        1.0..50_000.0,
        0.0..1.5,
        1.0..5.0,
        0.3..1.0,
        20.0..5000.0,
        0.0..0.01,
        1.0..900.0,
    )
        .prop_map(|(now, growth, season, share, knee, seconds, used)| {
            let mut capacity = capacity("capacity.json");
            capacity.load.now.requests_per_second = now;
            capacity.load.growth_per_year = growth;
            capacity.load.season = season;
            capacity.policy.load_share = share;
            let measured = capacity.measured.as_mut().unwrap();
            for own in measured.services.values_mut() {
                own.requests_per_second = knee;
                own.cpu_millicores = used;
                own.memory_mib = used;
                own.primary.seconds_per_request = seconds;
            }
            capacity
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_plan_passes_its_own_check(capacity in capacities()) {
        // Or it says which limit forbids it.
        if let Ok(plan) = Plan::new(&capacity, &PRODUCTION) {
            let overlay = serde_json::to_value(Overlay::new(&capacity, &plan)).unwrap();
            let planned = PRODUCTION.with(overlay).unwrap();
            let found = check::contradictions(&capacity, &planned).unwrap();
            prop_assert!(found.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn more_load_never_needs_less(capacity in capacities(), more in 1.0..4.0) {
        let mut larger = capacity.clone();
        larger.load.now.requests_per_second *= more;
        if let Ok(large) = Plan::new(&larger, &PRODUCTION) {
            let small = Plan::new(&capacity, &PRODUCTION).unwrap();
            for (service, planned) in &small.services {
                let other = &large.services[service];
                prop_assert!(planned.pods.iter().zip(&other.pods).all(|(few, many)| few <= many));
                prop_assert!(planned.min <= other.min && planned.max <= other.max);
            }
            prop_assert!(small.databases.shards.len() <= large.databases.shards.len());
            prop_assert!(small.kafka.partitions <= large.kafka.partitions);
        }
    }

    #[test]
    fn a_pod_never_requests_less_than_it_used(used in 1.0..100_000.0) {
        let requested = f64::from(u32::try_from(right_sized(used)).unwrap());
        prop_assert!(requested >= used && requested <= (used + 1.0) * 1.2);
    }
}
