//! One reference case and typed access to its inputs. A missing input is a fault of the case and stops the test by name.

use std::fs;
use std::path::Path;

use rampkeeper::stats::Moments;
use rampkeeper::stats::fixed_look::{Alternative, FixedLook, Reference};
use rampkeeper::stats::proportion::Successes;
use serde_json::Value;

pub struct Vector {
    pub id: String,
    pub method: String,
    pub inputs: Value,
    pub expected: Value,
    pub rel_tol: f64,
}

/// A computed value to hold against the expected one.
#[derive(Clone, Debug)]
pub enum Got {
    Number(f64),
    Flag(bool),
    List(Vec<Got>),
}

impl From<f64> for Got {
    fn from(number: f64) -> Self {
        Got::Number(number)
    }
}

impl From<bool> for Got {
    fn from(flag: bool) -> Self {
        Got::Flag(flag)
    }
}

impl<T: Into<Got>> From<Vec<T>> for Got {
    fn from(list: Vec<T>) -> Self {
        Got::List(list.into_iter().map(Into::into).collect())
    }
}

/// A named value of the answer.
pub fn got(name: &str, value: impl Into<Got>) -> (String, Got) {
    (name.to_owned(), value.into())
}

impl Vector {
    pub fn load(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let case: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Vector {
            id: text_of(&case, "id"),
            method: text_of(&case, "method"),
            rel_tol: number_of(&case, "rel_tol"),
            inputs: case["inputs"].clone(),
            expected: case["expected"].clone(),
        }
    }

    pub fn number(&self, key: &str) -> f64 {
        self.optional(key).unwrap_or_else(|| panic!("{}: no number {key:?} among the inputs", self.id))
    }

    pub fn optional(&self, key: &str) -> Option<f64> {
        self.inputs.get(key).and_then(number)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.inputs.get(key).and_then(Value::as_str)
    }

    pub fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        self.inputs.get(key).map(numbers)
    }

    /// Two-sided Student at the case's confidence unless its inputs say otherwise.
    pub fn look(&self) -> FixedLook {
        let alternative = match self.text("alternative") {
            Some("greater" | "larger") => Alternative::Greater,
            Some("less" | "smaller") => Alternative::Less,
            _ => Alternative::TwoSided,
        };
        let is_normal = self.inputs.get("use_t") == Some(&Value::Bool(false));
        FixedLook {
            alternative,
            reference: if is_normal { Reference::Normal } else { Reference::Student },
            confidence: self.optional("confidence_level").unwrap_or(0.95),
        }
    }

    /// Control and treatment as moments: n, mean, var under the plain names or those of the value.
    pub fn arms(&self) -> (Moments, Moments) {
        let value = self.text("value");
        let moments = |arm: &Value| {
            let key = |name: &str| value.map_or(name.to_owned(), |value| format!("{name}_{value}"));
            let n = count(arm, "n");
            Moments::of_units(n, number_of(arm, &key("mean")), number_of(arm, &key("var")) * (n as f64 - 1.0))
        };
        (moments(&self.inputs["control"]), moments(&self.inputs["treatment"]))
    }

    /// Control and treatment as counts of successes.
    pub fn rates(&self) -> (Successes, Successes) {
        let successes = |arm: &Value| Successes { n: count(arm, "n"), x: count(arm, "x") };
        (successes(&self.inputs["control"]), successes(&self.inputs["treatment"]))
    }
}

/// Moments of a pair of variables from (n, sums, sums of squares, sum of products).
pub fn from_sums(n: u64, y: [f64; 2], d: [f64; 2], product: f64) -> Moments {
    let units = n as f64;
    Moments {
        n,
        mean_y: y[0] / units,
        m2_y: y[1] - y[0] * y[0] / units,
        mean_d: d[0] / units,
        m2_d: d[1] - d[0] * d[0] / units,
        c_yd: product - y[0] * d[0] / units,
    }
}

/// Moments of the named pair from means, variances and a covariance.
pub fn from_names(arm: &Value, y: &str, d: &str) -> Moments {
    let n = count(arm, "n");
    let degrees = n as f64 - 1.0;
    let covariance = ["", "swapped"].iter().find_map(|order| {
        let name = if order.is_empty() { format!("cov_{y}__{d}") } else { format!("cov_{d}__{y}") };
        arm.get(name).and_then(number)
    });
    Moments {
        n,
        mean_y: number_of(arm, &format!("mean_{y}")),
        m2_y: number_of(arm, &format!("var_{y}")) * degrees,
        mean_d: number_of(arm, &format!("mean_{d}")),
        m2_d: number_of(arm, &format!("var_{d}")) * degrees,
        c_yd: covariance.unwrap_or_else(|| panic!("no covariance of {y} and {d}")) * degrees,
    }
}

/// A number, or one of the strings that stand for infinities.
pub fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

pub fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap_or_else(|| panic!("{value} is no list"));
    list.iter().map(|item| number(item).unwrap_or_else(|| panic!("{item} is no number"))).collect()
}

pub fn number_of(value: &Value, key: &str) -> f64 {
    value.get(key).and_then(number).unwrap_or_else(|| panic!("no number {key:?} in {value}"))
}

pub fn count(value: &Value, key: &str) -> u64 {
    number_of(value, key) as u64
}

fn text_of(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key:?} in {value}")).to_owned()
}
