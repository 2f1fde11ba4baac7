//! Holds computed against expected values: |got − expected| ≤ rel_tol · max(|expected|, 1e-12); integers and flags exactly.

use serde_json::Value;

use super::vector::{Got, Vector, number};

/// Every deviation, in words.
pub fn faults(vector: &Vector, answer: &[(String, Got)]) -> Vec<String> {
    let expected = vector.expected.as_object().unwrap_or_else(|| panic!("{}: expected is no object", vector.id));
    assert!(!expected.is_empty(), "{}: nothing is expected", vector.id);
    // A p-value that underflows is compared by its logarithm.
    let is_logged = expected.contains_key("log10_pvalue");
    let mut faults = Vec::new();
    for (key, wanted) in expected.iter().filter(|(key, _)| !(is_logged && *key == "pvalue")) {
        match answer.iter().find(|(name, _)| name == key) {
            Some((_, got)) => deviation(&format!("{}: {key}", vector.id), got, wanted, vector.rel_tol, &mut faults),
            None => faults.push(format!("{}: {key} is expected, but not computed", vector.id)),
        }
    }
    faults
}

fn deviation(name: &str, got: &Got, wanted: &Value, rel_tol: f64, faults: &mut Vec<String>) {
    let is_met = match (got, wanted) {
        (Got::List(got), Value::Array(wanted)) => {
            if got.len() == wanted.len() {
                for (index, (got, wanted)) in got.iter().zip(wanted).enumerate() {
                    deviation(&format!("{name}[{index}]"), got, wanted, rel_tol, faults);
                }
                return;
            }
            false
        }
        (Got::Flag(got), Value::Bool(wanted)) => got == wanted,
        (Got::Number(got), wanted) => number(wanted).is_some_and(|number| {
            let is_exact = wanted.is_i64() || wanted.is_u64() || number.is_infinite();
            if is_exact { *got == number } else { (got - number).abs() <= rel_tol * number.abs().max(1e-12) }
        }),
        _ => false,
    };
    if !is_met {
        faults.push(format!("{name}: got {got:?}, want {wanted} within {rel_tol}"));
    }
}
